// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// Which events a listener hears of, beyond their type. One grammar for flags, the library and the
// wire:
//
//   key       values                                         example
//   pid       a process                                      1234
//   under     that process and its descendants               1234
//   comm      glob over the name                             php-fpm*, !grep
//   exe       glob over the path                             /usr/bin/*
//   uid user  a number; who types a name has it looked up    0, 33
//             before it gets here (lib/user_numbers.h)
//   unit      glob; `.service` may be left out               postgresql@*
//   cgroup    a path, and all below it                       /system.slice
//   container an id, or how it begins                        3f2a9c
//   tty       glob; `/dev/` may stand before it              pts/3, ttyS*
//   ended     exit codes, ranges, signals, signal, core,     2-255, SIGKILL, core
//             oom, unknown; `exit-code` and `signal` are the
//             same key, except that a number given to
//             `signal` is a signal
//   longer    lived that long or longer                      10s
//   shorter   lived less than that                           100ms
//
// Commas and repeats are alternatives; `!value` excludes; a key with exclusions only passes
// everything else; different keys must all hold. A value holds no comma: write `?` for it in a
// glob, or `\!` for a first `!`. Unknown (null) matches nothing, neither what is wanted nor what is
// excluded: with wanted values the event does not pass, with exclusions only it does. `ended`,
// `longer` and `shorter` let only exits through. `lost` passes all.
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "filter/ended_set.h"
#include "filter/glob.h"
#include "filter/predicate_values.h"

namespace knell::filter {

// Who descends from whom: the process table knows. A process that cannot be placed is not inside.
class Ancestry {
 public:
  virtual ~Ancestry() = default;
  // Whether the process the event is about is `root` or was born under it.
  virtual bool inside(int32_t root, const knell_event& event) const = 0;
};

// What it takes to judge events.
struct Needs {
  uint32_t details = KNELL_DETAILS_STATUS;  // enum knell_details: the least that will do
  bool forks = false;                       // births must be followed (under)
  uint32_t possible = KNELL_EVENT_ALL;      // a mask: nothing outside it can ever pass. Never 0
  std::vector<int32_t> pids;                // wanted by `pid`; empty: any
  std::vector<int32_t> roots;               // named by `under`, wanted or excluded
  bool only_under = false;                  // only what is under one of the roots can pass
  std::vector<uint32_t> uids;               // wanted by `uid`; empty: any
  std::vector<std::string> cgroups;         // wanted by `cgroup`; empty: any
  // Wanted by `unit` and `comm`, where no pattern is among them; empty: any, or there is one.
  std::vector<std::string> units, comms;
  bool operator==(const Needs&) const = default;
};

inline constexpr size_t kMaxAlternatives = 1024;  // of one key; picked, never tuned
inline constexpr size_t kMaxValueBytes = 4096;    // PATH_MAX: nothing longer can match

// All the predicates of one listener, compiled: plain values are sorted, patterns are globs, ends a
// set of bits. Copyable; matches() is const and allocates nothing.
class Predicates {
 public:
  using Words = std::pair<std::string, std::string>;  // a key and its values

  // All of them at once, in time that is linear in their bytes, but for sorting. Errors: as add().
  static Result<Predicates> of(std::span<const Words> all);
  // Errors: EINVAL, a whole sentence with what would be right. Then nothing has changed.
  Result<void> add(std::string_view key, std::string_view values);
  bool matches(const knell_event& event, const Ancestry& ancestry) const;
  // What matches() may cost, whatever the event: in steps of a few instructions each, as
  // Glob::most_steps() counts them.
  size_t most_steps() const;
  Needs needs() const;
  bool empty() const { return !used_; }

 private:
  template <class T>
  struct Sides {  // of one key
    T wanted, excluded;
    T& side(bool exclude) { return exclude ? excluded : wanted; }
    bool used() const { return !wanted.empty() || !excluded.empty(); }
    size_t size() const { return wanted.size() + excluded.size(); }
  };
  using Numbers = std::vector<int64_t>;  // sorted, each once
  struct Texts {
    std::vector<std::string> plain;  // sorted, each once
    std::vector<Glob> globs;         // likewise
    bool empty() const { return plain.empty() && globs.empty(); }
    size_t size() const { return plain.size() + globs.size(); }
  };

  Result<void> append(std::string_view key, std::string_view values);
  Result<void> append_one(Key key, std::string_view name, std::string_view value, bool exclude);
  Result<void> settle();
  size_t count(Key key) const;
  bool numbers_match(const knell_event& event, const Ancestry& ancestry) const;
  bool texts_match(const knell_event& event) const;
  bool exit_matches(const knell_event& event) const;
  bool exits_only() const { return ended_.used() || longer_.used() || shorter_.used(); }

  bool used_ = false;
  Sides<Numbers> pids_, roots_, uids_, longer_, shorter_;
  Sides<Texts> comms_, exes_, units_, ttys_;
  // What another one holds as well is left out.
  Sides<Texts> cgroups_, containers_;
  Sides<EndedSet> ended_;
};

}  // namespace knell::filter
