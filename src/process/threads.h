// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "process/gone_timer.h"
#include "process/proc_reader.h"

namespace knell::process {

// The number of threads of each process beside its leader, counted from their births and EXITs, so
// that a leader's EXIT can be taken for the end of a process without other threads. Has entries
// only for processes with other threads: most never have any. Not thread-safe.
class Threads {
 public:
  // It had other threads when counting began; their number is unknown, since some of the threads in
  // /proc are in queued events, too.
  static constexpr uint32_t kUncounted = UINT32_MAX;
  static constexpr uint32_t kUnknown = UINT32_MAX - 1;  // births are not received
  static constexpr size_t kMost = 262'144;  // picked: 16 bytes each; beyond it counting stops

  // From now on every fork event of a thread must be passed to on_fork(). scan_some() finds the
  // processes that have other threads already; others() is kUnknown until it returns true.
  void begin(const ProcReader& proc);
  bool scan_some(const ProcReader& proc, ScanBudget& budget);
  // Births are not received any more, or some were lost: others() is kUnknown until begin().
  void end();

  void on_fork(int32_t pid);
  void on_exit(int32_t pid);
  // The process called exec, has ended, or is new: it has one thread.
  void on_single_thread(int32_t pid) { others_.erase(pid); }

  // 0: none; else a number, kUncounted or kUnknown.
  uint32_t others(int32_t pid) const;

  // Checks up to `count` entries and erases those that are gone for longer than GoneTimer::kGoneNs.
  template <class F>
  void sweep(size_t count, uint64_t now_ns, F is_gone) {
    others_.sweep(count, [&](int32_t pid, Others& others) {
      return others.gone_timer.gone_for_long(is_gone(pid), now_ns);
    });
  }

 private:
  struct Others {
    uint32_t count = 0;
    GoneTimer gone_timer;
  };
  bool counting_ = false;
  PidScan scan_;
  PidMap<Others> others_;
};

}  // namespace knell::process
