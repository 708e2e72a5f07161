// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/predicates.h"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <utility>

// Each key has wanted values and excluded values. An event passes a key if its value is one of the
// wanted values (or there are no wanted values) and is not one of the excluded values. An unknown
// value is neither wanted nor excluded, so the same rule holds for it, unless it was lost with the
// details of an exit: then the exit passes.
//
// Plain values are sorted and searched, so a thousand cost little more than a dozen; only globs are
// tried one by one, and most_steps() returns their cost. values_ is sorted once; add_value() keeps
// that order.
namespace knell::filter {
namespace {

// The length of the longest value that a field of an event can have.
constexpr size_t kUnitBytes = 255;      // NAME_MAX: the name of a directory in cgroupfs
constexpr size_t kPathBytes = 4096;     // PATH_MAX
constexpr size_t kContainerBytes = 64;  // the SHA-256 in hexadecimal of all known runtimes
constexpr size_t kTtyBytes = 15;        // of event::tty_name()
// bytes that are compared in one step; chosen, not measured
constexpr size_t kComparedAtOnce = 16;
constexpr size_t kFew = 8;  // up to this many, a linear search is faster; chosen, not measured
constexpr size_t kStepsOfRoot = 64;  // cost of a lookup among the roots of all listeners

bool contains(const std::vector<int64_t>& numbers, int64_t number) {
  return std::binary_search(numbers.begin(), numbers.end(), number);
}

bool contains(const std::vector<std::string>& texts, std::string_view text) {
  if (texts.size() <= kFew) return std::ranges::find(texts, text) != texts.end();
  return std::binary_search(texts.begin(), texts.end(), text, std::less<>());
}

// Orders paths so that those below a path directly follow it: a slash sorts before any other byte.
bool path_before(std::string_view a, std::string_view b) {
  const auto [in_a, in_b] = std::ranges::mismatch(a, b);
  if (in_b == b.end()) return false;
  if (in_a == a.end()) return true;
  if (*in_a == '/' || *in_b == '/') return *in_a == '/';
  return static_cast<uint8_t>(*in_a) < static_cast<uint8_t>(*in_b);
}

bool text_before(std::string_view a, std::string_view b) { return a < b; }

// Whether `cgroup` is `path` or below it: "/a" contains /a and /a/b, but not /ab. The root cgroup
// is the empty path and contains all.
bool path_holds(std::string_view path, std::string_view cgroup) {
  return cgroup.starts_with(path) && (cgroup.size() == path.size() || cgroup[path.size()] == '/');
}

bool text_holds(std::string_view front, std::string_view id) { return id.starts_with(front); }

// Sorts the prefixes in `all`, and removes each that is covered by another one. At most one of the
// remaining prefixes covers a given text: the last one that does not sort after the text.
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

// Whether the event passes a key. `in(side)`: whether the event's value is among the values of that
// side (wanted or excluded); false if the value is unknown.
template <class Sides, class In>
bool holds(const Sides& sides, In in) {
  if (!sides.used()) return true;
  return (sides.wanted.empty() || in(sides.wanted)) && !in(sides.excluded);
}

bool has_lost_details(const knell_event& event) {
  return (event.flags & KNELL_FLAG_DETAILS_LOST) != 0;
}

// holds() for a string. `lost`: if it is unknown, it was lost. `in(side, text)`: whether `text` is
// among the values of that side.
template <class Sides, class In>
bool holds(const Sides& sides, const knell_string& value, bool lost, In in) {
  if (lost && value.data == nullptr) return true;
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

// The maximum number of steps to match a text of up to `most_bytes`.
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

Result<Predicates> Predicates::create(std::vector<Predicate> all) {
  for (const Predicate& one : all) KNELL_TRY(check(one));
  sort_once(all);
  size_t of_key = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    of_key = i > 0 && all[i - 1].key == all[i].key ? of_key + 1 : 1;
    if (of_key > kMaxAlternatives)
      return say(EINVAL, std::string(name_of(all[i].key)) + ": more than " +
                             std::to_string(kMaxAlternatives) + " values");
  }
  Predicates made;
  for (const Predicate& one : all) {
    made.add_value(one);
    made.texts_used_ |= std::holds_alternative<std::string>(one.value);
  }
  for (Texts* const side : {&made.cgroups_.wanted, &made.cgroups_.excluded})
    keep_outermost(side->plain, path_before, path_holds);
  for (Texts* const side : {&made.containers_.wanted, &made.containers_.excluded})
    keep_outermost(side->plain, text_before, text_holds);
  made.used_ = !all.empty();
  made.values_ = std::move(all);
  return made;
}

Result<void> Predicates::add(std::span<const Predicate> more) {
  std::vector<Predicate> all = values_;
  all.insert(all.end(), more.begin(), more.end());
  KNELL_ASSIGN(*this, create(std::move(all)));
  return {};
}

void Predicates::add_value(const Predicate& one) {
  const auto number = [&one](Sides<Numbers>& sides) {
    sides.side(one.excluded).push_back(std::get<int64_t>(one.value));
  };
  const auto text = [&one](Sides<Texts>& sides) {
    sides.side(one.excluded).plain.push_back(std::get<std::string>(one.value));
  };
  const auto pattern = [&](Sides<Texts>& sides) {
    const std::string& value = std::get<std::string>(one.value);
    if (is_glob(value))
      sides.side(one.excluded).globs.emplace_back(value);
    else
      text(sides);
  };
  switch (one.key) {
    case Key::kPid:
      return number(pids_);
    case Key::kUnder:
      return roots_.side(one.excluded)
          .push_back({static_cast<int32_t>(std::get<int64_t>(one.value)), one.start});
    case Key::kUid:
      return number(uids_);
    case Key::kLonger:
      return number(longer_);
    case Key::kShorter:
      return number(shorter_);
    case Key::kComm:
      return pattern(comms_);
    case Key::kExe:
      return pattern(exes_);
    case Key::kUnit:
      return pattern(units_);
    case Key::kTty:
      return pattern(ttys_);
    case Key::kCgroup:
      return text(cgroups_);
    case Key::kContainer:
      return text(containers_);
    case Key::kEnded:
      return ended_.side(one.excluded).add(std::get<Ended>(one.value));
  }
}

bool Predicates::matches(const knell_event& event, const Ancestry& ancestry) const {
  if (!used_ || event.type == KNELL_EVENT_LOST) return true;
  return exit_matches(event) && numbers_match(event, ancestry) && texts_match(event);
}

bool Predicates::exit_matches(const knell_event& event) const {
  if (!exits_only()) return true;
  if (event.type != KNELL_EVENT_EXIT) return false;
  if (ended_.excluded.matches(event)) return false;
  if (const EndedSet& wanted = ended_.wanted;
      !wanted.empty() && !wanted.matches(event) && !wanted.may_match(event))
    return false;

  const bool known = (event.has & KNELL_HAS_DURATION) != 0;
  if (!known && has_lost_details(event)) return true;
  const uint64_t lived = event.duration_ns;
  // The values of `longer` are alternatives, so the smallest limit decides; for `shorter` the
  // largest.
  return holds(longer_,
               [&](const Numbers& limits) {
                 return known && !limits.empty() && lived >= static_cast<uint64_t>(limits.front());
               }) &&
         holds(shorter_, [&](const Numbers& limits) {
           return known && !limits.empty() && lived < static_cast<uint64_t>(limits.back());
         });
}

bool Predicates::numbers_match(const knell_event& event, const Ancestry& ancestry) const {
  const bool uid_known = (event.has & KNELL_HAS_UID) != 0;
  const auto uid_in = [&](const Numbers& uids) { return uid_known && contains(uids, event.uid); };
  return holds(pids_, [&](const Numbers& pids) { return contains(pids, event.pid); }) &&
         (holds(uids_, uid_in) || (!uid_known && has_lost_details(event))) &&
         holds(roots_, [&](const std::vector<Root>& roots) {
           return std::ranges::any_of(
               roots, [&](const Root& root) { return ancestry.is_under(root, event); });
         });
}

bool Predicates::texts_match(const knell_event& event) const {
  if (!texts_used_) return true;
  const bool lost = has_lost_details(event);
  // The unit and the container id are derived from the cgroup path, so they are known if it is
  // known.
  const bool cgroup_lost = lost && event.cgroup.data == nullptr;
  return holds(comms_, event.comm, lost, has_text<Texts>) &&
         holds(exes_, event.exe, lost, has_text<Texts>) &&
         holds(units_, event.unit, cgroup_lost, has_unit<Texts>) &&
         holds(cgroups_, event.cgroup, lost, has_cgroup<Texts>) &&
         holds(containers_, event.container_id, cgroup_lost, has_container<Texts>) &&
         holds(ttys_, event.tty, lost, has_text<Texts>);
}

size_t Predicates::most_steps() const {
  size_t steps = 1 + (roots_.wanted.size() + roots_.excluded.size()) * kStepsOfRoot;
  for (const Sides<Numbers>* const sides : {&pids_, &uids_, &longer_, &shorter_})
    steps += steps_of_search(sides->wanted, 0) + steps_of_search(sides->excluded, 0);
  // Units count twice: they are matched with and without `.service`.
  return steps + steps_of_texts(comms_, kMaxCommBytes) + steps_of_texts(exes_, kPathBytes) +
         2 * steps_of_texts(units_, kUnitBytes) + steps_of_texts(cgroups_, kPathBytes) +
         steps_of_texts(containers_, kContainerBytes) + steps_of_texts(ttys_, kTtyBytes);
}

Interest Predicates::needs() const {
  Interest needs;
  const bool names = comms_.used() || uids_.used() || units_.used() || cgroups_.used() ||
                     containers_.used() || ttys_.used() || longer_.used() || shorter_.used();
  if (names) needs.details = KNELL_DETAILS_NAMES;
  if (exes_.used()) needs.details = KNELL_DETAILS_FULL;
  if (exits_only()) {
    // Whether an exit with status 0 can pass, or one whose status will be unknown.
    const bool zero_wanted = ended_.wanted.empty() || ended_.wanted.has_code(0);
    const bool zero_possible =
        ended_.wanted.has_unknown() || (zero_wanted && !ended_.excluded.has_code(0));
    needs.possible = KNELL_EVENT_NONZERO_EXIT | (zero_possible ? KNELL_EVENT_EXIT : 0);
  }
  needs.pids = pids_of(pids_.wanted);
  needs.roots = roots_.wanted;
  std::ranges::set_difference(roots_.excluded, roots_.wanted, std::back_inserter(needs.roots));
  needs.only_under = !roots_.wanted.empty();
  if (uids_.excluded.empty())
    for (const int64_t uid : uids_.wanted) needs.uids.push_back(static_cast<uint32_t>(uid));
  needs.cgroups = cgroups_.wanted.plain;
  if (units_.wanted.globs.empty()) needs.units = units_.wanted.plain;
  if (comms_.wanted.globs.empty()) needs.comms = comms_.wanted.plain;
  return needs;
}

}  // namespace knell::filter
