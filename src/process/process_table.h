// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "event/batch.h"
#include "event/namespace_pids.h"
#include "event/raw.h"
#include "filter/predicates.h"
#include "process/births.h"
#include "process/cgroup.h"
#include "process/gone_timer.h"
#include "process/pid_namespaces.h"
#include "process/proc_reader.h"
#include "process/root_set.h"
#include "process/timebase.h"
#include "process/user_names.h"

namespace knell::process {

using event::Comm;
using event::Slot;

// An entry of the live set, see LiveSet, which is the view of the table that uses it. It changes
// with the events that were handed out, so it can be of an older process than the rest of its task.
struct Life {
  uint64_t start = 0;  // clock ticks since boot
  uint32_t round = 0;  // the comparison that saw it last, or during which it was added
  bool alive = false;  // it is in the live set
  bool exact = false;  // false: `start` may be a tick too late
  bool executed = false;
  bool named = false;  // its exit is wanted by its pid
};

// What is stored about one living process, or about one thread if threads are stored. Kept decides
// which members are used.
struct Task {
  int32_t pid = 0;  // of a thread: the tid
  int32_t ppid = 0;
  uint64_t start = 0;  // as start_kind says
  uint64_t parent_start = 0;
  uint64_t born_ns = 0;  // CLOCK_MONOTONIC; 0: unknown
  uint64_t read_ns = 0;  // when its details were read in /proc; 0: never
  uint8_t start_kind = KNELL_ID_NONE, parent_start_kind = KNELL_ID_NONE;
  bool thread = false;
  // The start was read in /proc, or another source reported it. Else it comes from the stamp of the
  // fork event, and may be a tick earlier, or more if the kernel was preempted there.
  bool exact = false;
  bool seen_in_event = false;  // another fork event of this pid is of another process

  // Details.
  bool has_uid = false, has_gid = false;  // whether the ids below are known
  // whether the names are known; a known name may be empty
  bool has_comm = false, has_parent_comm = false;
  uint32_t uid = 0, gid = 0;  // real
  uint32_t tty = 0;           // controlling terminal, see event/tty.h; 0: none
  Comm comm{}, parent_comm{};
  std::shared_ptr<const Image> image;
  std::shared_ptr<const Cgroup> cgroup;

  uint64_t roots = 0;          // `under`: a bit for each root of which it is a descendant
  uint32_t other_threads = 0;  // number of threads beside the leader, or kUncounted
  // index of its pids in pid namespaces; UINT32_MAX: see levels_known
  uint32_t numbers = UINT32_MAX;
  bool levels_known =
      false;  // the pids are known; without `numbers`: in the initial namespace only
  bool levels_tried = false;   // reading its pids failed; do not try again
  bool owner_current = false;  // owner and pids were tracked without a gap
  GoneTimer gone_timer{};
  Life life;  // the entry stays while life.alive
};

// The limits of a table. At `tasks`, new ones are not stored: their exit events have what /proc
// still shows, else null. At `text_bytes`, new images (args, exe, cwd) are not stored: those fields
// are null. Both cases are counted.
struct TableLimits {
  size_t tasks = 262'144;                // 168 bytes each and 11 to 21 of index: 47 MiB when full
  size_t text_bytes = 24 * 1024 * 1024;  // args, exe and cwd, shared among forked children
};

// Which data a table stores.
struct Kept {
  uint32_t details = KNELL_DETAILS_STATUS;  // enum knell_details; STATUS: stores no details
  bool threads = false;  // count threads: the caller passes every birth of a thread to on_fork()
  // Store the owners: the uid; the pids in pid namespaces, then also of threads. The caller passes
  // all births, changes of uid and exits.
  bool owners = false, namespaces = false;
  bool operator==(const Kept&) const = default;
};

// The tasks that are alive, with the data that Kept asks for: details for their events, descent
// from the roots that `under` names, thread counts, and owners. See process_table.cc. Not
// thread-safe. Reads /proc, never blocks except in a look-up of user names (UserNames).
//
//   keep(), follow() -> { scan_some(), scan_under_roots() }*
//                    -> { on_fork() ... on_exit() -> describe(), uid_of() ...; sweep() }*
class ProcessTable final : public filter::Ancestry {
 public:
  // Special values of other_threads(). kUncounted: the process had other threads when counting
  // began; their number is unknown, since a thread in /proc may also have a queued event. kUnknown:
  // births of threads are not received.
  static constexpr uint32_t kUncounted = UINT32_MAX, kUnknown = UINT32_MAX - 1;

  // The references must outlive it. `boot`: the first 8 hex digits of the boot id.
  ProcessTable(const ProcReader& proc, const Clock& clock, const Timebase& time, uint32_t boot,
               const TableLimits& limits = {}, PidNamespaces::From from = pid_namespaces_from);

  // Sets what to store. True: more than before, so call begin_scan().
  bool keep(const Kept& kept);
  const Kept& kept() const { return kept_; }
  // Follows the processes under each of `roots`, and no others. False: there are more than
  // RootSet::kMost. New roots: begins a search under them.
  bool follow(std::span<const filter::Root> roots);
  // Begins a scan of all processes.
  void begin_scan();
  // After a hole: begins a scan and a search, and erases the entries that the scan does not find.
  void read_again();
  // Continue the scan and the search; true: finished. A process that the scan has not reached is
  // read when it is needed. `awaited(pid)`: an exit of this process is expected, so its entry is
  // kept although the process is gone, as is one of the live set.
  using Awaited = std::function<bool(int32_t)>;
  bool scan_some(ScanBudget& budget, const Awaited& awaited = {});
  bool scan_under_roots(ScanBudget& budget);
  // Reads the process that has this pid now.
  void read_one(int32_t pid);

  // Thread events, in the order of the stream.
  void on_fork(const event::Raw& fork);
  void on_exec(const event::Raw& exec);
  void on_change(
      const event::Raw& change);  // UID, GID, SID and COMM; after the event was described
  void on_thread_exit(const event::Raw& exit);   // not of the leader
  void on_single_thread(int32_t pid);            // it called exec
  void on_exit(int32_t pid, uint64_t stamp_ns);  // the process has ended
  // call it if no event of this process will be described
  void forget(int32_t pid) { erase(pid); }
  // Events of these types were lost (0: of any type): the data that depended on them are unknown
  // until they were read again.
  void on_lost(uint32_t types);
  // A birth that another source reports, with the child's pids in namespaces; on_births_lost():
  // some were lost.
  void on_birth(const Birth& birth);
  void on_births_lost() { distrust(); }

  // Fills in the details of process `pid` at event.mono_ns. `read_proc`: what to read in /proc if
  // the process is not stored; /proc shows the current values.
  enum class ReadProc {
    kNo,        // nothing
    kIdentity,  // start and parent only: the other values may have changed since the event
    kYes        // all: it has ended, and a zombie still shows its name, parent and cgroup
  };
  // `start`: of the process, in clock ticks since boot, where the caller knows it; 0: unknown. With
  // it, another process that has the pid by now is not used.
  void describe(Slot& slot, int32_t pid, ReadProc read_proc, uint64_t start = 0);
  knell_id id_of(int32_t pid, uint64_t stamp_ns);
  knell_id stamp_id(int32_t pid, uint64_t stamp_ns) const {
    return {boot_, pid, stamp_ns, KNELL_ID_STAMP};
  }
  // The task that had this pid at that time; nullptr: it is not stored, or another task has the pid
  // now.
  const Task* at(int32_t pid, uint64_t stamp_ns) const;
  // Whether this process, whose start may be wrong by a tick, is stored.
  bool has(int32_t pid, uint64_t start) const;
  // The number of threads beside the leader, kUncounted or kUnknown.
  uint32_t other_threads(int32_t pid) const;
  uint64_t roots_of(int32_t pid) const;
  // Uses the stored descent of event.pid and not /proc, since the pid of a dead process may be
  // reused.
  bool is_under(const filter::Root& root, const knell_event& event) const override;

  // Requires Kept::owners. The real uid of a process at that time; nullopt: unknown.
  std::optional<uint32_t> uid_of(int32_t pid, uint64_t stamp_ns);
  // Requires Kept::namespaces. The pids of a process or a thread, from the outermost namespace
  // below the initial one. Valid until the next call.
  struct Numbers {
    std::span<const event::NamespacePid> of;
    bool known = false;  // false: the pids are unknown, and `of` is empty
  };
  Numbers numbers_of(int32_t tid, uint64_t stamp_ns);
  // Call this if another source reports all births inside pid namespaces, and no others, by
  // on_birth(), and has reported all of them up to now. A task that on_fork() received and
  // on_birth() did not is then known to be in the initial namespace. Call it when the task has run
  // or ended; before that, its birth may not have been reported yet.
  void settle_initial_namespace(int32_t tid, uint64_t stamp_ns);

  // Checks some entries, `at_least` or more, and erases those that are gone for longer than
  // GoneTimer::kGoneNs. Call it when the source was left empty.
  template <class F>
  void sweep(size_t at_least, F is_gone);
  // A shorter sweep, for when the source has more events to read.
  template <class F>
  void sweep_ended(F is_gone) {
    erase_ended(clock_.monotonic_ns(), is_gone);
  }

  // The live set. Pointers are valid until the table changes. add_live() replaces an older process
  // of the pid; nullptr: the table is full.
  Life* find_live(int32_t pid);
  Life* add_live(int32_t pid);
  void remove_live(int32_t pid);
  size_t live_count() const { return live_; }
  template <class F>
  void for_each_live(F visit) const;
  // Takes over the live set of another table.
  void move_live_from(ProcessTable& other);

  UserNames& users() { return users_; }
  size_t size() const { return index_.size(); }
  size_t bytes() const;
  uint64_t forgotten() const { return forgotten_; }

 private:
  struct List {
    std::array<event::NamespacePid, event::kMostLevels> at;
    uint32_t count = 0;
  };
  struct Ended {
    uint64_t stamp_ns, start;
    int32_t tid;
  };
  enum class Need { kUid, kNumbers };

  // The processes that are stored, in no order.
  template <class F>
  void for_each(F visit) const;

  // Storage.
  Task* find(int32_t pid);
  const Task* find(int32_t pid) const { return const_cast<ProcessTable*>(this)->find(pid); }
  Task* insert(int32_t pid);
  Task* replace(int32_t pid);
  void clear(Task& task);
  void erase(int32_t pid);
  void release(uint32_t slot);
  void drop_if_empty(const Task& task);
  std::shared_ptr<const Image> store(Image image);
  bool keeps_owners() const { return kept_.owners || kept_.namespaces; }
  bool keeps_all() const { return has_details() || keeps_owners(); }
  static bool is_bare(const Task& task) { return task.start_kind == KNELL_ID_NONE; }
  const Task* described_at(int32_t pid, uint64_t stamp_ns) const;
  bool has_details() const { return kept_.details != KNELL_DETAILS_STATUS; }
  uint64_t ticks_of(const Task& task) const;
  bool still_has_it(const Task& task, uint64_t start_now) const;
  bool is_of_birth(const Task& known, const event::Raw& fork) const;

  // Scans.
  void scan_one(int32_t pid);
  void erase_unseen(const Awaited& awaited);
  template <class F>
  void erase_ended(uint64_t now_ns, F is_gone);

  // Births, details: details.cc.
  void on_thread_fork(const event::Raw& fork);
  void begin_life(Task& child, const event::Raw& fork);
  void inherit(Task& child, const event::Raw& fork);
  void set_start(Task& child, uint64_t fork_ns);
  bool read(Task& task, uint64_t not_after_ns);
  bool read(Task& task, const ProcFolder& folder, uint64_t not_after_ns);
  void read_program(Task& task, const ProcFolder& folder);
  void read_group(Task& task, const ProcFolder& folder);
  void read_changing(Task& task, const ProcFolder& folder, const ProcStat& stat);
  bool is_described(const Task& task) const;
  void describe_again(Task& task, const ProcFolder& folder);
  void drop_details();
  void fill(Slot& slot, const Task& task);
  void fill_parent(Slot& slot, const Task& task);

  // Descent: roots.cc.
  bool add_roots(int32_t pid, uint64_t bits);
  void drop_roots(uint64_t bits);

  // Owners: owners.cc.
  void distrust();
  const Task* owner_at(int32_t tid, uint64_t stamp_ns, Need need);
  bool read_owner(Task& task);
  void read_numbers(Task& task, const ProcFolder& folder, const TaskStatus& status);
  void read_numbers_at_birth(Task& task);
  void set_numbers(Task& task, std::span<const event::NamespacePid> numbers);
  void free_numbers(Task& task);
  void note_end(const Task& task, uint64_t stamp_ns);

  const ProcReader& proc_;
  const Clock& clock_;
  const Timebase& time_;
  uint32_t boot_;
  TableLimits limits_;
  Kept kept_;

  PidMap<uint32_t> index_;
  std::deque<Task> tasks_;  // addresses are stable
  std::vector<uint32_t> free_;
  // Bytes of all images. Shared with the deleter of each image, since an event in a batch may
  // outlive the entry.
  std::shared_ptr<size_t> text_bytes_ = std::make_shared<size_t>(0);
  Cgroups cgroups_;
  UserNames users_;
  std::string buffer_;
  uint64_t forgotten_ = 0;
  size_t live_ = 0;
  size_t born_ = 0;  // since the last sweep

  PidScan scan_;
  uint64_t scan_began_ns_ = 0;
  bool counting_ = false;       // threads are counted since the current or the last scan
  bool count_scanned_ = false;  // that scan has finished
  bool after_loss_ = false;     // after the current scan, entries that it did not find are erased

  RootSet roots_;
  PidScan root_pass_;
  bool searching_ = false, found_ = false;  // found_: this pass found a new process under a root

  PidNamespaces namespaces_;
  std::deque<List> numbers_;
  std::vector<uint32_t> free_numbers_;
  std::deque<Ended>
      ended_;     // with owners, ended tasks stay for a moment: events of theirs may come
  Task passing_;  // the result for a task that is not stored
  uint64_t followed_from_ns_ = 0;  // owners of tasks with an older fork event are not tracked
};

template <class F>
void ProcessTable::sweep(size_t at_least, F is_gone) {
  // An entry of a dead process is marked at one visit and erased at a later one. With three visits
  // for each birth, all n entries are visited once in n/3 births, so the table has little more than
  // the living tasks and those born within the last second.
  const size_t count = 3 * std::exchange(born_, 0) + at_least;
  const uint64_t now = clock_.monotonic_ns();
  erase_ended(now, is_gone);
  index_.sweep(count, [&](int32_t pid, uint32_t slot) {
    const Task& task = tasks_[slot];
    if (!tasks_[slot].gone_timer.gone_for_long(!task.life.alive && is_gone(pid), now)) return false;
    release(slot);
    return true;
  });
}

template <class F>
void ProcessTable::erase_ended(uint64_t now_ns, F is_gone) {
  for (; !ended_.empty() && ended_.front().stamp_ns + GoneTimer::kGoneNs <= now_ns;
       ended_.pop_front()) {
    const Ended& first = ended_.front();
    const Task* task = find(first.tid);
    // A leader may exit before its process ends.
    if (task != nullptr && ticks_of(*task) == first.start && is_gone(first.tid)) erase(first.tid);
  }
}

template <class F>
void ProcessTable::for_each(F visit) const {
  index_.for_each([&](int32_t, uint32_t slot) {
    if (!tasks_[slot].thread) visit(tasks_[slot]);
  });
}

template <class F>
void ProcessTable::for_each_live(F visit) const {
  index_.for_each([&](int32_t pid, uint32_t slot) {
    if (tasks_[slot].life.alive) visit(pid, tasks_[slot].life);
  });
}

}  // namespace knell::process
