// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// Predicates select events by more than their type. Wanted values of one key are alternatives; an
// event with an excluded value does not pass; a key with excluded values only passes all others. An
// event must pass every key. An unknown field equals no value: the event passes a key that only
// excludes, and no key with wanted values. But an exit whose details were lost
// (KNELL_FLAG_DETAILS_LOST) passes each key whose field is unknown, since no listener may miss an
// exit that it wants; `under` is always known. Only exits pass `ended`, `longer` and `shorter`.
// LOST events always pass.
#pragma once

#include <knell/knell.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "filter/ended_set.h"
#include "filter/glob.h"
#include "filter/interest.h"
#include "filter/predicate.h"
#include "filter/root.h"

namespace knell::filter {

// Says whether a process is under another one. A process whose ancestors are unknown is under no
// root.
class Ancestry {
 public:
  virtual ~Ancestry() = default;
  // Whether the event's process is `root` or a descendant of it.
  virtual bool is_under(const Root& root, const knell_event& event) const = 0;
};

// The roots of `under` that the process of one event is under: a bit for each of `roots`, in their
// order. `roots` must outlive it.
class RootBits final : public Ancestry {
 public:
  RootBits(const std::vector<Root>& roots, uint64_t bits) : roots_(roots), bits_(bits) {}
  bool is_under(const Root& root, const knell_event&) const override {
    const auto at = std::ranges::find(roots_, root);
    return at != roots_.end() && ((bits_ >> (at - roots_.begin())) & 1) != 0;
  }

 private:
  const std::vector<Root>& roots_;
  uint64_t bits_;
};

// For events without ancestry: no process is under any other.
class NoAncestry final : public Ancestry {
 public:
  bool is_under(const Root&, const knell_event&) const override { return false; }
};

// All the predicates of one listener, compiled: plain values are sorted, patterns become globs, and
// the ways to end become a set of bits. Copyable; matches() is const and does not allocate.
class Predicates {
 public:
  // Takes time linear in the bytes of `all`, and that of sorting. Errors: EINVAL: as check(),
  // or more than kMaxAlternatives values of one key.
  static Result<Predicates> create(std::vector<Predicate> all);
  // Adds predicates. Errors: as create(); then nothing changes.
  Result<void> add(std::span<const Predicate> more);
  // All the predicates, sorted and without duplicates as by sort_once().
  const std::vector<Predicate>& values() const { return values_; }
  bool matches(const knell_event& event, const Ancestry& ancestry) const;
  // The most that matches() can cost for any event, in steps of a few instructions each, as
  // Glob::most_steps() counts them.
  size_t most_steps() const;
  // What a source must report so that the predicates can be evaluated, and which types can pass.
  // `mask` is not set.
  Interest needs() const;
  bool empty() const { return !used_; }

 private:
  template <class T>
  struct Sides {  // of one key
    T wanted, excluded;
    T& side(bool exclude) { return exclude ? excluded : wanted; }
    bool used() const { return !wanted.empty() || !excluded.empty(); }
  };
  using Numbers = std::vector<int64_t>;  // sorted, each once
  struct Texts {
    std::vector<std::string> plain;  // sorted, each once
    std::vector<Glob> globs;         // sorted, each once
    bool empty() const { return plain.empty() && globs.empty(); }
  };

  void add_value(const Predicate& one);
  bool numbers_match(const knell_event& event, const Ancestry& ancestry) const;
  bool texts_match(const knell_event& event) const;
  bool exit_matches(const knell_event& event) const;
  bool exits_only() const { return ended_.used() || longer_.used() || shorter_.used(); }

  bool used_ = false;
  bool texts_used_ = false;  // false: texts_match() has nothing to test
  std::vector<Predicate> values_;
  Sides<std::vector<Root>> roots_;  // sorted, each once
  Sides<Numbers> pids_, uids_, longer_, shorter_;
  Sides<Texts> comms_, exes_, units_, ttys_;
  // Without values that are covered by another value of the same side.
  Sides<Texts> cgroups_, containers_;
  Sides<EndedSet> ended_;
};

}  // namespace knell::filter
