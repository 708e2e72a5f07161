// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/predicate.h"

#include <algorithm>
#include <utility>

#include "filter/glob.h"

// Each key keeps what is wanted and what is excluded apart; an event passes a key when it is wanted
// (or nothing is named as wanted) and not excluded. Unknown values fall out of that by themselves,
// once "not wanted" and "not excluded" are both true of them. Numbers are sorted and searched, ends
// are a set of bits, strings are tried one by one.
namespace knell::filter {
namespace {

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

void insert(std::vector<int64_t>& numbers, int64_t number) {
  const auto at = std::lower_bound(numbers.begin(), numbers.end(), number);
  if (at == numbers.end() || *at != number) numbers.insert(at, number);
}

void insert(std::vector<std::string>& patterns, std::string pattern) {
  if (std::find(patterns.begin(), patterns.end(), pattern) == patterns.end()) {
    patterns.push_back(std::move(pattern));
  }
}

bool contains(const std::vector<int64_t>& numbers, int64_t number) {
  return std::binary_search(numbers.begin(), numbers.end(), number);
}

// `in(side)`: whether the event's value is among them; false when the value is unknown.
template <class Sides, class In>
bool holds(const Sides& sides, In in) {
  if (!sides.used()) return true;
  return (sides.wanted.empty() || in(sides.wanted)) && !in(sides.excluded);
}

// The same for a string, where `match(pattern, value)` judges one alternative.
template <class Sides, class Match>
bool holds(const Sides& sides, const knell_string& value, Match match) {
  return holds(sides, [&](const std::vector<std::string>& patterns) {
    if (value.data == nullptr) return false;
    const std::string_view text(value.data, value.size);
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return match(pattern, text); });
  });
}

bool unit_matches(std::string_view pattern, std::string_view unit) {
  if (glob_matches(pattern, unit)) return true;
  constexpr std::string_view kService = ".service";
  return unit.ends_with(kService) &&
         glob_matches(pattern, unit.substr(0, unit.size() - kService.size()));
}

// "/a" holds /a and /a/b, not /ab. The root was trimmed to nothing and holds all.
bool cgroup_holds(std::string_view path, std::string_view cgroup) {
  return cgroup.starts_with(path) && (cgroup.size() == path.size() || cgroup[path.size()] == '/');
}

std::vector<std::string> plain(const std::vector<std::string>& patterns) {
  return std::ranges::any_of(patterns, is_glob) ? std::vector<std::string>() : patterns;
}

std::vector<int32_t> pids_of(const std::vector<int64_t>& numbers) {
  std::vector<int32_t> pids;
  pids.reserve(numbers.size());
  for (const int64_t number : numbers) pids.push_back(static_cast<int32_t>(number));
  return pids;
}

}  // namespace

Result<void> Predicates::add(std::string_view key_name, std::string_view values) {
  KNELL_ASSIGN(const Key key, parse_key(key_name));
  const std::string name(key_name);
  Predicates next = *this;  // all of the values or none
  for (size_t at = 0; at <= values.size();) {
    const size_t comma = std::min(values.find(',', at), values.size());
    std::string_view value = trimmed(values.substr(at, comma - at));
    at = comma + 1;
    const bool exclude = value.starts_with('!');
    if (exclude) value = trimmed(value.substr(1));
    if (value.empty()) {
      return say(EINVAL, name + ": a value is missing in '" + std::string(values) + "'");
    }
    if (value.size() > kMaxValueBytes) {
      return say(EINVAL,
                 name + ": a value is longer than " + std::to_string(kMaxValueBytes) + " bytes");
    }
    KNELL_TRY(next.add_one(key, name, value, exclude));
    if (next.count(key) > kMaxAlternatives) {
      return say(EINVAL, name + ": more than " + std::to_string(kMaxAlternatives) + " values");
    }
  }
  next.used_ = true;
  *this = std::move(next);
  return {};
}

Result<void> Predicates::add_one(Key key, std::string_view name, std::string_view value,
                                 bool exclude) {
  switch (key) {
    case Key::kPid:
    case Key::kUnder: {
      KNELL_ASSIGN(const int64_t pid, parse_pid(name, value));
      insert((key == Key::kPid ? pids_ : roots_).side(exclude), pid);
      break;
    }
    case Key::kUid: {
      KNELL_ASSIGN(const int64_t uid, parse_uid(name, value));
      insert(uids_.side(exclude), uid);
      break;
    }
    case Key::kLonger:
    case Key::kShorter: {
      KNELL_ASSIGN(const int64_t ns, parse_nanoseconds(name, value));
      insert((key == Key::kLonger ? longer_ : shorter_).side(exclude), ns);
      break;
    }
    case Key::kComm:
      insert(comms_.side(exclude), comm_pattern(value));
      break;
    case Key::kExe:
      insert(exes_.side(exclude), std::string(value));
      break;
    case Key::kUnit:
      insert(units_.side(exclude), std::string(value));
      break;
    case Key::kContainer:
      insert(containers_.side(exclude), std::string(value));
      break;
    case Key::kCgroup: {
      KNELL_ASSIGN(std::string path, parse_cgroup(name, value));
      insert(cgroups_.side(exclude), std::move(path));
      break;
    }
    case Key::kEnded:
      return ended_.side(exclude).add(
          value, name == "signal" ? EndedSet::Number::kSignal : EndedSet::Number::kCode);
  }
  return {};
}

size_t Predicates::count(Key key) const {
  switch (key) {
    case Key::kPid:
      return pids_.size();
    case Key::kUnder:
      return roots_.size();
    case Key::kUid:
      return uids_.size();
    case Key::kLonger:
      return longer_.size();
    case Key::kShorter:
      return shorter_.size();
    case Key::kComm:
      return comms_.size();
    case Key::kExe:
      return exes_.size();
    case Key::kUnit:
      return units_.size();
    case Key::kCgroup:
      return cgroups_.size();
    case Key::kContainer:
      return containers_.size();
    case Key::kEnded:
      return ended_.size();
  }
  return 0;
}

bool Predicates::matches(const knell_event& event, const Ancestry& ancestry) const {
  if (!used_ || event.type == KNELL_EVENT_LOST) return true;
  return exit_matches(event) && numbers_match(event, ancestry) && strings_match(event);
}

bool Predicates::exit_matches(const knell_event& event) const {
  if (!exits_only()) return true;
  if (event.type != KNELL_EVENT_EXIT) return false;
  if (!holds(ended_, [&](const EndedSet& set) { return set.matches(event); })) return false;

  const bool known = (event.has & KNELL_HAS_DURATION) != 0;
  const uint64_t lived = event.duration_ns;
  // Of several limits the easiest to meet decides.
  return holds(longer_,
               [&](const Numbers& limits) {
                 return known && !limits.empty() && lived >= static_cast<uint64_t>(limits.front());
               }) &&
         holds(shorter_, [&](const Numbers& limits) {
           return known && !limits.empty() && lived < static_cast<uint64_t>(limits.back());
         });
}

bool Predicates::numbers_match(const knell_event& event, const Ancestry& ancestry) const {
  return holds(pids_, [&](const Numbers& pids) { return contains(pids, event.pid); }) &&
         holds(uids_,
               [&](const Numbers& uids) {
                 return (event.has & KNELL_HAS_UID) != 0 && contains(uids, event.uid);
               }) &&
         holds(roots_, [&](const Numbers& roots) {
           return std::any_of(roots.begin(), roots.end(), [&](int64_t root) {
             return ancestry.inside(static_cast<int32_t>(root), event);
           });
         });
}

bool Predicates::strings_match(const knell_event& event) const {
  const auto prefix = [](std::string_view front, std::string_view id) {
    return id.starts_with(front);
  };
  return holds(comms_, event.comm, glob_matches) && holds(exes_, event.exe, glob_matches) &&
         holds(units_, event.unit, unit_matches) && holds(cgroups_, event.cgroup, cgroup_holds) &&
         holds(containers_, event.container_id, prefix);
}

Needs Predicates::needs() const {
  Needs needs;
  const bool names = comms_.used() || uids_.used() || units_.used() || cgroups_.used() ||
                     containers_.used() || longer_.used() || shorter_.used();
  if (names) needs.details = KNELL_DETAILS_NAMES;
  if (exes_.used()) needs.details = KNELL_DETAILS_FULL;
  needs.forks = roots_.used();
  if (exits_only()) {
    // Whether an exit with 0, or with a status that may yet turn out unknown, could pass.
    const bool zero_wanted = ended_.wanted.empty() || ended_.wanted.has_code(0);
    const bool zero_possible =
        ended_.wanted.has_unknown() || (zero_wanted && !ended_.excluded.has_code(0));
    needs.possible = KNELL_EVENT_NONZERO_EXIT | (zero_possible ? KNELL_EVENT_EXIT : 0);
  }
  needs.pids = pids_of(pids_.wanted);
  needs.roots = pids_of(roots_.wanted);
  for (const int64_t root : roots_.excluded) {
    if (!contains(roots_.wanted, root)) needs.roots.push_back(static_cast<int32_t>(root));
  }
  needs.only_under = !roots_.wanted.empty();
  if (uids_.excluded.empty())
    for (const int64_t uid : uids_.wanted) needs.uids.push_back(static_cast<uint32_t>(uid));
  needs.cgroups = cgroups_.wanted;
  needs.units = plain(units_.wanted);
  needs.comms = plain(comms_.wanted);
  return needs;
}

}  // namespace knell::filter
