// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// Which events a listener receives, beyond their type. Values of one key are alternatives, excluded
// ones are not let through; a key with exclusions only passes everything else; different keys must
// all hold. Unknown (null) matches nothing, neither what is wanted nor what is excluded: with
// wanted values the event does not pass, with exclusions only it does. `ended`, `longer` and
// `shorter` let only exits through. `lost` passes all.
#pragma once

#include <knell/knell.h>

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

namespace knell::filter {

// Answers `under`. A process whose ancestors are not known is under no root.
class Ancestry {
 public:
  virtual ~Ancestry() = default;
  // Whether the process the event is about is `root` or was born under it.
  virtual bool inside(int32_t root, const knell_event& event) const = 0;
};

// All the predicates of one listener, compiled: plain values are sorted, patterns are globs, ends a
// set of bits. Copyable; matches() is const and allocates nothing.
class Predicates {
 public:
  // In time that is linear in their bytes, but for sorting. Errors: EINVAL, a whole sentence: those
  // of check(); too many of one key.
  static Result<Predicates> of(std::vector<Predicate> all);
  // Errors: as of(). Then nothing has changed.
  Result<void> add(std::span<const Predicate> more);
  // All there are, as sort_once() leaves them.
  const std::vector<Predicate>& values() const { return values_; }
  bool matches(const knell_event& event, const Ancestry& ancestry) const;
  // What matches() may cost, whatever the event: in steps of a few instructions each, as
  // Glob::most_steps() counts them.
  size_t most_steps() const;
  // What it takes to judge events, and which can pass: without a mask.
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
    std::vector<Glob> globs;         // likewise
    bool empty() const { return plain.empty() && globs.empty(); }
  };

  void compile(const Predicate& one);
  bool numbers_match(const knell_event& event, const Ancestry& ancestry) const;
  bool texts_match(const knell_event& event) const;
  bool exit_matches(const knell_event& event) const;
  bool exits_only() const { return ended_.used() || longer_.used() || shorter_.used(); }

  bool used_ = false;
  std::vector<Predicate> values_;
  Sides<Numbers> pids_, roots_, uids_, longer_, shorter_;
  Sides<Texts> comms_, exes_, units_, ttys_;
  // What another one holds as well is left out.
  Sides<Texts> cgroups_, containers_;
  Sides<EndedSet> ended_;
};

}  // namespace knell::filter
