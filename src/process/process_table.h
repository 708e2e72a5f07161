// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/pid_map.h"
#include "event/batch.h"
#include "process/cgroup.h"
#include "process/gone_timer.h"
#include "process/proc_reader.h"

namespace knell::process {

using event::Comm;

// The stored details of one living process, so that its exit event can have them.
struct Process {
  uint64_t start = 0;    // as start_kind says
  uint64_t born_ns = 0;  // CLOCK_MONOTONIC; 0: unknown
  uint64_t read_ns = 0;  // when it was read from /proc; 0: never, only its fork event was received
  uint64_t parent_start = 0;
  int32_t pid = 0, ppid = 0;
  uint32_t uid = 0, gid = 0;
  uint32_t tty = 0;  // its controlling terminal, see event/tty.h; 0: none
  uint8_t start_kind = KNELL_ID_NONE, parent_start_kind = KNELL_ID_NONE;
  bool has_ids = false;
  bool has_comm = false, has_parent_comm = false;  // a known name may be empty
  bool seen_in_event =
      false;  // an event reported it: the next fork event of this pid is of another process
  GoneTimer gone_timer;
  Comm comm{}, parent_comm{};
  std::shared_ptr<const Image> image;
  std::shared_ptr<const Cgroup> cgroup;

  // Keeps the fields that do not change during the life of the process.
  void keep_identity_only() {
    has_ids = has_comm = false;
    tty = 0;
    image.reset();
    cgroup.reset();
  }
};

// The limits of a table. At `processes`, new processes are not stored: their exit events have what
// /proc still shows, else null. At `text_bytes`, new images (args, exe, cwd) are not stored: those
// fields are null. Both cases are counted.
struct TableLimits {
  size_t processes = 262'144;            // 144 bytes each and 8 to 16 of index: 40 MiB when full
  size_t text_bytes = 24 * 1024 * 1024;  // args, exe and cwd, shared among forked children
};

// The processes alive now, by pid. An entry's address is stable until it is erased. Not
// thread-safe.
class ProcessTable {
 public:
  explicit ProcessTable(const TableLimits& limits) : limits_(limits) {}

  Process* find(int32_t pid);
  const Process* find(int32_t pid) const { return const_cast<ProcessTable*>(this)->find(pid); }
  // Adds an empty entry for `pid`, in place of any older one; nullptr at the limit.
  Process* insert(int32_t pid);
  void erase(int32_t pid);
  // Stores an image; nullptr at the limit.
  std::shared_ptr<const Image> keep(Image image);
  Cgroups& cgroups() { return cgroups_; }

  // Visits up to `count` entries and continues there at the next call; `gone(process)` says whether
  // to erase the entry.
  template <class F>
  void sweep(size_t count, F gone) {
    index_.sweep(count, [&](int32_t, uint32_t slot) {
      if (!gone(processes_[slot])) return false;
      release(slot);
      return true;
    });
  }
  template <class F>
  void for_each(F visit) {
    index_.for_each([&](int32_t, uint32_t slot) { visit(processes_[slot]); });
  }

  size_t size() const { return index_.size(); }
  size_t cells() const { return index_.cells(); }
  size_t bytes() const {
    return processes_.size() * sizeof(Process) + index_.bytes() + *text_bytes_;
  }
  uint64_t forgotten() const { return forgotten_; }

 private:
  void release(uint32_t slot);

  TableLimits limits_;
  PidMap<uint32_t> index_;
  std::deque<Process> processes_;
  std::vector<uint32_t> free_;
  Cgroups cgroups_;
  // Shared with the deleter of each image: events in a batch may outlive the table's entry.
  std::shared_ptr<size_t> text_bytes_ = std::make_shared<size_t>(0);
  uint64_t forgotten_ = 0;
};

}  // namespace knell::process
