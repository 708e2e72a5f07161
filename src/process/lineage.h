// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "filter/predicates.h"
#include "process/gone_timer.h"
#include "process/proc_reader.h"

namespace knell::process {

// For each root that a listener names, the processes under it: those whose chain of parents at
// birth leads to the root. A process stays under its root when it is reparented. A process whose
// link to the root died before knell started is not found. Costs nothing for processes that are
// under no root, and 16 bytes for each that is. Not thread-safe.
class Lineage : public filter::Ancestry {
 public:
  static constexpr size_t kMostRoots = 64;  // one bit each

  // Follows, from `now_ns` on, the process that has the pid `root` at that time. False: there are
  // kMostRoots already. Call scan() next: it finds the processes that are below the root already.
  bool follow(int32_t root, uint64_t now_ns);
  bool is_root(int32_t pid) const;
  // Removes all roots that are not in `roots`.
  void keep_only(std::span<const int32_t> roots);

  // `stamp_ns`: that of the fork event. The root's own fork event may still be queued when the root
  // is followed.
  void on_fork(int32_t pid, int32_t parent, uint64_t stamp_ns);
  void on_exit(int32_t pid) { inside_.erase(pid); }
  // Reads /proc until a pass adds nothing, so that processes forked during a pass are found too.
  // Fork events that are still queued reach on_fork() later and change nothing that is known.
  void scan(const ProcReader& proc);
  // The same in pieces: begin_scan(), then scan_some() until it returns true.
  void begin_scan();
  bool scan_some(const ProcReader& proc, ScanBudget& budget);

  uint64_t roots_of(int32_t pid) const;
  // Uses what is recorded for event.pid, not /proc: the pid of a dead process may be in use again.
  bool is_under(int32_t root, const knell_event& event) const override;

  // Checks up to `count` entries and erases those that are gone for longer than GoneTimer::kGoneNs.
  template <class F>
  void sweep(size_t count, uint64_t now_ns, F is_gone) {
    inside_.sweep(count, [&](int32_t pid, Place& place) {
      return place.gone_timer.gone_for_long(is_gone(pid), now_ns);
    });
  }
  size_t size() const { return inside_.size(); }
  size_t cells() const { return inside_.cells(); }

 private:
  struct Place {
    uint64_t roots = 0;  // one bit per root
    GoneTimer gone_timer;
  };
  struct Root {
    int32_t pid = 0;  // 0: the bit is free
    uint64_t since_ns = 0;
  };
  uint64_t own_bit(int32_t pid, uint64_t stamp_ns) const;

  std::vector<Root> roots_;
  bool scanning_ = false, added_ = false;  // added_: this pass added an entry
  PidScan pass_;
  PidMap<Place> inside_;
};

// The roots that the subject of one event is under, as recorded for that event: a bit for each of
// `roots`, in their order. `roots` must outlive it.
class RootBits final : public filter::Ancestry {
 public:
  RootBits(const std::vector<int32_t>& roots, uint64_t bits) : roots_(roots), bits_(bits) {}
  bool is_under(int32_t root, const knell_event&) const override {
    const auto at = std::ranges::find(roots_, root);
    return at != roots_.end() && ((bits_ >> (at - roots_.begin())) & 1) != 0;
  }

 private:
  const std::vector<int32_t>& roots_;
  uint64_t bits_;
};

}  // namespace knell::process
