// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <functional>

#include "base/pid_scan.h"
#include "event/raw.h"
#include "event/batch.h"
#include "process/proc_reader.h"
#include "process/process_table.h"
#include "process/timebase.h"
#include "process/user_names.h"

namespace knell::process {

using event::Slot;

// The stored details of living processes, updated by events, so that an event can have more than
// the kernel reports; see process_details.cc. At the level KNELL_DETAILS_STATUS it stores and reads
// nothing. Not thread-safe. `proc` and `time` must outlive it.
class ProcessDetails {
 public:
  ProcessDetails(uint32_t details, uint32_t boot, const ProcReader& proc, const Timebase& time,
                 const TableLimits& limits)
      : details_(details), boot_(boot), proc_(proc), time_(time), table_(limits) {}

  bool on() const { return details_ != KNELL_DETAILS_STATUS; }
  uint32_t details() const { return details_; }
  void set_details(uint32_t details) { details_ = details; }

  // Reads all of /proc: at the start, and after a hole in the stream to find what changed during
  // it. In pieces: begin_scan(), then scan_some() until it returns true.
  void read_all(uint64_t now_ns);
  void begin_scan(uint64_t now_ns);
  bool scanning() const { return scan_.running(); }
  // `awaited(pid)`: an exit of this process is expected, so its entry stays although the process is
  // gone.
  using Awaited = std::function<bool(int32_t)>;
  bool scan_some(ScanBudget& budget, uint64_t now_ns, const Awaited& awaited = {});
  void read_one(int32_t pid, uint64_t now_ns);  // the process that has this pid now

  void on_fork(const event::Raw& fork);
  void on_exec(const event::Raw& exec);
  // Its details have just been read from /proc.
  void note_read(int32_t pid, uint64_t now_ns);
  void on_comm(const event::Raw& comm);
  void left_terminal(int32_t pid);  // by setsid(2)
  void changed_uid(int32_t pid, uint32_t uid);
  void changed_gid(int32_t pid, uint32_t gid);

  // The process that had this pid at that time; nullptr: not stored, or another process has the pid
  // now.
  Process* at(int32_t pid, uint64_t stamp_ns);
  // The process has ended. An entry of a later process with the same pid stays.
  void on_exit(int32_t pid, uint64_t stamp_ns);
  // Checks up to `count` entries and erases those that are gone for longer than GoneTimer::kGoneNs.
  template <class F>
  void sweep(size_t count, uint64_t now_ns, F is_gone) {
    table_.sweep(count, [&](Process& process) {
      return process.gone_timer.gone_for_long(is_gone(process.pid), now_ns);
    });
  }

  // Fills in the details of process `pid` at event.mono_ns. `read_proc`: what to read from /proc,
  // which shows the current state, for a process that is not stored:
  enum class ReadProc {
    kNo,        // nothing
    kIdentity,  // start and parent. The rest may have changed since: it may run another program
    kYes        // all: it has ended, and a zombie still shows its name, parent and cgroup
  };
  void describe(Slot& slot, int32_t pid, ReadProc read_proc);
  knell_id id_of(int32_t pid, uint64_t stamp_ns);
  knell_id stamp_id(int32_t pid, uint64_t stamp_ns) const;

  const ProcessTable& table() const { return table_; }
  UserNames& users() { return users_; }

 private:
  void erase_unseen(const Awaited& awaited);
  void inherit(Process& child, const event::Raw& fork);
  void set_start(Process& process, uint64_t fork_ns);
  bool read(Process& process, uint64_t not_after_ns);
  void read_program(Process& process, const ProcFolder& folder);
  void read_group(Process& process, const ProcFolder& folder);
  void fill(Slot& slot, const Process& process);
  void fill_parent(Slot& slot, const Process& process);

  uint32_t details_;
  uint32_t boot_;
  const ProcReader& proc_;
  const Timebase& time_;
  ProcessTable table_;
  UserNames users_;
  PidScan scan_;
  uint64_t scan_began_ns_ = 0;
  std::string buffer_;
};

}  // namespace knell::process
