// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace knell::daemon {

// When the processes began that a source follows for `under`. The source finds them by their pids,
// and goes on with the descendants of a process that has ended. So while a listener names that
// process, a later process with its pid cannot be named. Not thread-safe.
class RootStarts {
 public:
  // Reads the start of the process that has a pid now, in clock ticks since boot; 0: there is none.
  using ReadStart = std::function<uint64_t(int32_t)>;
  explicit RootStarts(ReadStart read = read_from_proc) : read_(std::move(read)) {}

  // Whether a listener can name these processes. Errors: EBUSY another process with one of the pids
  // is followed.
  Result<void> check(std::span<const int32_t> roots) const;
  // The source follows these processes from now on, and no others.
  void set(std::span<const int32_t> roots);
  // Whether anything has changed since the last call.
  bool take_changed() { return std::exchange(changed_, false); }

  // For the next daemon, which calls restore() before set().
  std::string save() const;
  void restore(std::string_view saved);

 private:
  static uint64_t read_from_proc(int32_t pid);

  ReadStart read_;
  std::map<int32_t, uint64_t> starts_;  // by pid
  bool changed_ = false;
};

}  // namespace knell::daemon
