// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/clock.h"
#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "base/result.h"
#include "event/batch.h"
#include "filter/root.h"
#include "process/proc_reader.h"
#include "process/process_table.h"
#include "process/timebase.h"

namespace knell::process {

// The processes that are alive, read from /proc in pieces, parents before their children. Works in
// two passes: the first notes the pid, parent and start of each process, the second reads the
// details of one process after the other. So it takes about 50 bytes for each process. A process
// that begins or ends meanwhile may or may not be returned. Not thread-safe. `proc` and `clock`
// must outlive it.
//
//   { list_some() }* until true -> { next() }* until kEnd
class LivingProcesses {
 public:
  // Called for each process in the first pass; false skips the process, which is cheap here. A call
  // costs one unit of the budget. The folder is open.
  using MayList = std::function<bool(const ProcFolder&)>;
  struct Options {
    uint32_t details = KNELL_DETAILS_FULL;  // enum knell_details
    uint32_t boot = 0;                      // for ids
    std::vector<filter::Root> roots = {};   // values of `under`, at most RootSet::kMost
    bool only_under = false;                // skip processes that are under none of the roots
    std::vector<int32_t> pids = {};         // if not empty: skip all other processes
    // look up user names, which may wait for a directory server
    bool look_up_names = true;
    MayList may_list = {};  // none: all processes
  };
  LivingProcesses(const ProcReader& proc, const Clock& clock, Options options);

  // Does a piece of the first pass; true: it is finished. Errors: EIO /proc could not be read.
  Result<bool> list_some(ScanBudget& budget);
  // Does a piece of the second pass. kProcess: `batch`, which is cleared, has one event of type
  // KNELL_EVENT_NONE, with all but note_presence(). Slot::note has a bit for each of the roots that
  // the process is under, as far as the parents that are alive say. kMore: the budget is used up.
  enum class Next : uint8_t { kProcess, kMore, kEnd };
  Next next(ScanBudget& budget, event::Batch& batch);

  size_t bytes() const;  // the memory it uses, without details

 private:
  struct Entry {
    uint64_t start = 0;  // clock ticks since boot
    uint64_t roots = 0;  // computed when the entry is placed
    int32_t pid = 0, ppid = 0;
    bool listed = false;   // false: only a link of the chain to a root
    bool on_path = false;  // is or was in path_
    bool placed = false;
  };

  void list_one(int32_t pid);
  Entry* parent_of(const Entry& entry);
  bool push_parent();
  bool is_wanted(const Entry& entry) const;
  bool describe(const Entry& entry, event::Batch& batch);
  void fill_parent(knell_event& event, Slot& slot) const;

  const ProcReader& proc_;
  const Clock& clock_;
  const Options options_;
  Timebase time_;
  ProcessTable table_;
  PidScan scan_;
  std::deque<Entry> entries_;
  PidMap<uint32_t> by_pid_;     // indexes of entries_
  size_t at_ = 0;               // index of the first entry that may not be placed yet
  std::vector<uint32_t> path_;  // an entry, its parent, and so on; the last one is placed next
};

}  // namespace knell::process
