// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "filter/predicates.h"
#include "watch/gone_timer.h"
#include "watch/proc_reader.h"

namespace knell::watch {

// Who is under whom: for each root asked about, the processes whose chain of parents at birth leads
// to it. A process stays inside when it is reparented; one whose link to the root died before knell
// started cannot be known. Costs nothing for processes that are under no root, and 16 bytes for
// each that is.
class Lineage : public filter::Ancestry {
 public:
  static constexpr size_t kMostRoots = 64;  // one bit each

  // From `now_ns` on follows the process that is `root` then. False when there are kMostRoots
  // already. scan() then finds who is below it already.
  bool follow(int32_t root, uint64_t now_ns);
  bool is_root(int32_t pid) const;
  // Makes room: the others of the roots are none any more.
  void keep_only(std::span<const int32_t> roots);

  // `stamp_ns` is the fork's: a root's own birth may still be queued when it is followed.
  void born(int32_t pid, int32_t parent, uint64_t stamp_ns);
  void gone(int32_t pid) { inside_.erase(pid); }
  // Reads /proc until a pass adds nothing, so that what was forked meanwhile is found too; forks
  // still queued are told to born() later and change nothing that is known.
  void scan(const ProcReader& proc);
  // The same in pieces: begin_scan(), then scan_some() until it is true.
  void begin_scan();
  bool scan_some(const ProcReader& proc, ScanBudget& budget);

  uint64_t roots_of(int32_t pid) const;
  // Overrides what is known of the process an event is about: a dead one's place in the tree may be
  // taken already.
  bool inside(int32_t root, const knell_event& event) const override;

  // Forgets those of up to `count` entries that are gone for longer than GoneTimer::kGoneNs.
  template <class F>
  void sweep(size_t count, uint64_t now_ns, F is_gone) {
    inside_.sweep(count, [&](int32_t pid, Place& place) {
      return place.missing.since_long(is_gone(pid), now_ns);
    });
  }
  size_t size() const { return inside_.size(); }
  size_t cells() const { return inside_.cells(); }

 private:
  struct Place {
    uint64_t roots = 0;  // a bit each
    GoneTimer missing;
  };
  struct Root {
    int32_t pid = 0;  // 0: its bit is free
    uint64_t since_ns = 0;
  };
  uint64_t own_bit(int32_t pid, uint64_t stamp_ns) const;

  std::vector<Root> roots_;
  bool scanning_ = false, added_ = false;  // added_: by this pass
  PidScan pass_;
  PidMap<Place> inside_;
};

}  // namespace knell::watch
