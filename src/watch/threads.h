// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "watch/gone_timer.h"
#include "watch/proc_reader.h"

namespace knell::watch {

// How many threads each process has beside its leader, counted from their births and EXITs, so that
// a leader's EXIT can be taken for the end of a process that has no others. Holds only processes
// that have some: most never do. Not thread-safe.
class Threads {
 public:
  // It had threads already when counting began, in a number that cannot be known: what /proc says
  // and what is still queued overlap.
  static constexpr uint32_t kUncounted = UINT32_MAX;
  static constexpr uint32_t kUnknown = UINT32_MAX - 1;  // births are not heard of
  static constexpr size_t kMost = 262'144;  // picked: 16 bytes each; past it nothing is sure

  // From now on every fork event is passed to born(). scan_some() finds the processes that have
  // threads already; others() is kUnknown until it returns true.
  void begin(const ProcReader& proc);
  bool scan_some(const ProcReader& proc, ScanBudget& budget);
  // Births are not heard of any more, or some were missed: nothing is sure until begin().
  void end();

  void born(int32_t pid);
  void gone(int32_t pid);
  // The process exec'ed, is over, or is a new one: one thread is all it has.
  void alone(int32_t pid) { others_.erase(pid); }

  // 0: none beside the leader.
  uint32_t others(int32_t pid) const;

  // Forgets those of up to `count` entries that are gone for longer than GoneTimer::kGoneNs.
  template <class F>
  void sweep(size_t count, uint64_t now_ns, F is_gone) {
    others_.sweep(count, [&](int32_t pid, Others& others) {
      return others.missing.since_long(is_gone(pid), now_ns);
    });
  }

 private:
  struct Others {
    uint32_t count = 0;
    GoneTimer missing;
  };
  bool counting_ = false;
  PidScan scan_;
  PidMap<Others> others_;
};

}  // namespace knell::watch
