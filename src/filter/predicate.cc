// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/predicate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

// Each key keeps what is wanted and what is excluded apart; an event passes a key when it is wanted
// (or nothing is named as wanted) and not excluded. Unknown values fall out of that by themselves,
// once "not wanted" and "not excluded" are both true of them.
//
// What is plain is sorted and searched, so a thousand values cost as much as a dozen; only globs
// are tried one by one, and most_steps() says what they cost. Values are collected first and sorted
// once: a subscription with many of them is read in the time it takes to read them.
namespace knell::filter {
namespace {

// Of one key before they are sorted, repeats included; picked, never tuned.
constexpr size_t kMostWritten = 2 * kMaxAlternatives;

// The longest text of each that there can be.
constexpr size_t kCommBytes = 15;       // TASK_COMM_LEN less its NUL
constexpr size_t kUnitBytes = 255;      // NAME_MAX: it is the name of a directory
constexpr size_t kPathBytes = 4096;     // PATH_MAX
constexpr size_t kContainerBytes = 64;  // of all runtimes known, hexadecimal digits of a SHA-256
constexpr size_t kTtyBytes = 15;        // of event::tty_name()
constexpr std::string_view kDev = "/dev/";
constexpr size_t kComparedAtOnce = 16;  // bytes; picked
constexpr size_t kFew = 8;              // that are quicker tried than searched; picked
constexpr size_t kStepsOfRoot = 64;     // it is looked for among those of all listeners

constexpr std::array kAllKeys{
    std::pair{Key::kPid, "pid"},       std::pair{Key::kUnder, "under"},
    std::pair{Key::kComm, "comm"},     std::pair{Key::kExe, "exe"},
    std::pair{Key::kUid, "uid"},       std::pair{Key::kUnit, "unit"},
    std::pair{Key::kCgroup, "cgroup"}, std::pair{Key::kContainer, "container"},
    std::pair{Key::kTty, "tty"},       std::pair{Key::kEnded, "ended"},
    std::pair{Key::kLonger, "longer"}, std::pair{Key::kShorter, "shorter"},
};

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

template <class T>
void sort_once(std::vector<T>& values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

bool contains(const std::vector<int64_t>& numbers, int64_t number) {
  return std::binary_search(numbers.begin(), numbers.end(), number);
}

bool contains(const std::vector<std::string>& texts, std::string_view text) {
  if (texts.size() <= kFew) return std::ranges::find(texts, text) != texts.end();
  return std::binary_search(texts.begin(), texts.end(), text, std::less<>());
}

// The order of paths in which what is below one follows it at once: a slash comes before all else.
bool path_before(std::string_view a, std::string_view b) {
  const auto [in_a, in_b] = std::ranges::mismatch(a, b);
  if (in_b == b.end()) return false;
  if (in_a == a.end()) return true;
  if (*in_a == '/' || *in_b == '/') return *in_a == '/';
  return static_cast<uint8_t>(*in_a) < static_cast<uint8_t>(*in_b);
}

bool text_before(std::string_view a, std::string_view b) { return a < b; }

// "/a" holds /a and /a/b, not /ab. The root was trimmed to nothing and holds all.
bool path_holds(std::string_view path, std::string_view cgroup) {
  return cgroup.starts_with(path) && (cgroup.size() == path.size() || cgroup[path.size()] == '/');
}

bool text_holds(std::string_view front, std::string_view id) { return id.starts_with(front); }

// Sorts those that hold all that begins with them, and drops what another one holds. Of what is
// left at the most one holds a text, and no other stands between the two.
template <class Before, class Holds>
void keep_outermost(std::vector<std::string>& all, Before before, Holds holds) {
  std::ranges::sort(all, before);
  size_t kept = 0;
  for (std::string& one : all) {
    if (kept > 0 && holds(all[kept - 1], one)) continue;
    if (&all[kept] != &one) all[kept] = std::move(one);
    kept++;
  }
  all.resize(kept);
}

template <class Before, class Holds>
bool held_by_one(const std::vector<std::string>& outermost, std::string_view text, Before before,
                 Holds holds) {
  if (outermost.size() <= kFew)
    return std::ranges::any_of(outermost, [&](const auto& one) { return holds(one, text); });
  const auto after = std::upper_bound(outermost.begin(), outermost.end(), text, before);
  return after != outermost.begin() && holds(*std::prev(after), text);
}

// `in(side)`: whether the event's value is among them; false when the value is unknown.
template <class Sides, class In>
bool holds(const Sides& sides, In in) {
  if (!sides.used()) return true;
  return (sides.wanted.empty() || in(sides.wanted)) && !in(sides.excluded);
}

// The same for a string, where `in(side, text)` judges.
template <class Sides, class In>
bool holds(const Sides& sides, const knell_string& value, In in) {
  return holds(sides, [&](const auto& side) {
    return value.data != nullptr && !side.empty() && in(side, {value.data, value.size});
  });
}

template <class Texts>
bool has_text(const Texts& texts, std::string_view text) {
  return contains(texts.plain, text) ||
         std::ranges::any_of(texts.globs, [&](const Glob& glob) { return glob.matches(text); });
}

template <class Texts>
bool has_unit(const Texts& texts, std::string_view unit) {
  if (has_text(texts, unit)) return true;
  constexpr std::string_view kService = ".service";
  return unit.ends_with(kService) && has_text(texts, unit.substr(0, unit.size() - kService.size()));
}

template <class Texts>
bool has_cgroup(const Texts& texts, std::string_view cgroup) {
  return held_by_one(texts.plain, cgroup, path_before, path_holds);
}

template <class Texts>
bool has_container(const Texts& texts, std::string_view id) {
  return held_by_one(texts.plain, id, text_before, text_holds);
}

template <class T>
size_t steps_of_search(const std::vector<T>& sorted, size_t bytes_of_each) {
  const size_t tried = sorted.size() <= kFew ? sorted.size() : std::bit_width(sorted.size());
  return tried * (1 + bytes_of_each / kComparedAtOnce);
}

// With a text that many bytes long.
template <class Sides>
size_t steps_of_texts(const Sides& sides, size_t most_bytes) {
  size_t steps = 0;
  for (const auto* const side : {&sides.wanted, &sides.excluded}) {
    size_t longest = 0;
    for (const std::string& text : side->plain) longest = std::max(longest, text.size());
    steps += steps_of_search(side->plain, std::min(longest, most_bytes));
    for (const Glob& glob : side->globs) steps += glob.most_steps(most_bytes);
  }
  return steps;
}

std::vector<int32_t> pids_of(const std::vector<int64_t>& numbers) {
  std::vector<int32_t> pids;
  pids.reserve(numbers.size());
  for (const int64_t number : numbers) pids.push_back(static_cast<int32_t>(number));
  return pids;
}

}  // namespace

Result<Predicates> Predicates::of(std::span<const Words> all) {
  Predicates made;
  for (const auto& [key, values] : all) KNELL_TRY(made.append(key, values));
  KNELL_TRY(made.settle());
  return made;
}

Result<void> Predicates::add(std::string_view key, std::string_view values) {
  Predicates next = *this;  // all of the values or none
  KNELL_TRY(next.append(key, values));
  KNELL_TRY(next.settle());
  *this = std::move(next);
  return {};
}

Result<void> Predicates::append(std::string_view key_name, std::string_view values) {
  KNELL_ASSIGN(const Key key, parse_key(key_name));
  const auto wrong = [&](const std::string& what) {
    return say(EINVAL, std::string(key_name) + ": " + what);
  };
  for (size_t at = 0; at <= values.size();) {
    const size_t comma = std::min(values.find(',', at), values.size());
    std::string_view value = trimmed(values.substr(at, comma - at));
    at = comma + 1;
    const bool exclude = value.starts_with('!');
    if (exclude) value = trimmed(value.substr(1));
    if (value.empty()) return wrong("a value is missing in '" + std::string(values) + "'");
    if (value.size() > kMaxValueBytes)
      return wrong("a value is longer than " + std::to_string(kMaxValueBytes) + " bytes");
    KNELL_TRY(append_one(key, key_name, value, exclude));
    if (count(key) > kMostWritten)
      return wrong("more than " + std::to_string(kMaxAlternatives) + " values");
  }
  used_ = true;
  return {};
}

Result<void> Predicates::settle() {
  for (Sides<Numbers>* const sides : {&pids_, &roots_, &uids_, &longer_, &shorter_}) {
    sort_once(sides->wanted);
    sort_once(sides->excluded);
  }
  for (Sides<Texts>* const sides : {&comms_, &exes_, &units_, &ttys_})
    for (Texts* const side : {&sides->wanted, &sides->excluded}) {
      sort_once(side->plain);
      sort_once(side->globs);
    }
  for (Texts* const side : {&cgroups_.wanted, &cgroups_.excluded})
    keep_outermost(side->plain, path_before, path_holds);
  for (Texts* const side : {&containers_.wanted, &containers_.excluded})
    keep_outermost(side->plain, text_before, text_holds);
  for (const auto& [key, name] : kAllKeys)
    if (count(key) > kMaxAlternatives)
      return say(EINVAL,
                 std::string(name) + ": more than " + std::to_string(kMaxAlternatives) + " values");
  return {};
}

Result<void> Predicates::append_one(Key key, std::string_view name, std::string_view value,
                                    bool exclude) {
  const auto add_text = [](Texts& texts, std::string_view text) {
    if (is_glob(text))
      texts.globs.emplace_back(text);
    else
      texts.plain.emplace_back(text);
  };
  switch (key) {
    case Key::kPid:
    case Key::kUnder: {
      KNELL_ASSIGN(const int64_t pid, parse_pid(name, value));
      (key == Key::kPid ? pids_ : roots_).side(exclude).push_back(pid);
      break;
    }
    case Key::kUid: {
      KNELL_ASSIGN(const int64_t uid, parse_uid(name, value));
      uids_.side(exclude).push_back(uid);
      break;
    }
    case Key::kLonger:
    case Key::kShorter: {
      KNELL_ASSIGN(const int64_t ns, parse_nanoseconds(name, value));
      (key == Key::kLonger ? longer_ : shorter_).side(exclude).push_back(ns);
      break;
    }
    case Key::kComm:
      add_text(comms_.side(exclude), comm_pattern(value));
      break;
    case Key::kExe:
      add_text(exes_.side(exclude), value);
      break;
    case Key::kUnit:
      add_text(units_.side(exclude), value);
      break;
    case Key::kTty:
      add_text(ttys_.side(exclude), value.starts_with(kDev) ? value.substr(kDev.size()) : value);
      break;
    case Key::kContainer:
      containers_.side(exclude).plain.emplace_back(value);
      break;
    case Key::kCgroup: {
      KNELL_ASSIGN(std::string path, parse_cgroup(name, value));
      cgroups_.side(exclude).plain.push_back(std::move(path));
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
    case Key::kTty:
      return ttys_.size();
    case Key::kEnded:
      return ended_.size();
  }
  return 0;
}

bool Predicates::matches(const knell_event& event, const Ancestry& ancestry) const {
  if (!used_ || event.type == KNELL_EVENT_LOST) return true;
  return exit_matches(event) && numbers_match(event, ancestry) && texts_match(event);
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

bool Predicates::texts_match(const knell_event& event) const {
  return holds(comms_, event.comm, has_text<Texts>) && holds(exes_, event.exe, has_text<Texts>) &&
         holds(units_, event.unit, has_unit<Texts>) &&
         holds(cgroups_, event.cgroup, has_cgroup<Texts>) &&
         holds(containers_, event.container_id, has_container<Texts>) &&
         holds(ttys_, event.tty, has_text<Texts>);
}

size_t Predicates::most_steps() const {
  size_t steps = 1 + roots_.size() * kStepsOfRoot;
  for (const Sides<Numbers>* const sides : {&pids_, &uids_, &longer_, &shorter_})
    steps += steps_of_search(sides->wanted, 0) + steps_of_search(sides->excluded, 0);
  // A unit is judged with and without its `.service`.
  return steps + steps_of_texts(comms_, kCommBytes) + steps_of_texts(exes_, kPathBytes) +
         2 * steps_of_texts(units_, kUnitBytes) + steps_of_texts(cgroups_, kPathBytes) +
         steps_of_texts(containers_, kContainerBytes) + steps_of_texts(ttys_, kTtyBytes);
}

Needs Predicates::needs() const {
  Needs needs;
  const bool names = comms_.used() || uids_.used() || units_.used() || cgroups_.used() ||
                     containers_.used() || ttys_.used() || longer_.used() || shorter_.used();
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
  needs.cgroups = cgroups_.wanted.plain;
  if (units_.wanted.globs.empty()) needs.units = units_.wanted.plain;
  if (comms_.wanted.globs.empty()) needs.comms = comms_.wanted.plain;
  return needs;
}

}  // namespace knell::filter
