// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "event/namespace_pids.h"
#include "event/raw.h"
#include "process/births.h"
#include "process/gone_timer.h"
#include "process/pid_namespaces.h"
#include "process/proc_reader.h"
#include "process/timebase.h"

namespace knell::process {

// The uid of each process, and the numbers of each task in its pid namespaces. Both are recorded
// from birth on, since a task has often ended when its event is handled. For events of sources that
// do not report them, and to decide who may see those events: so an answer is either right, as far
// as can be known (docs/limits.md), or "unknown". See task_ids.cc.
//
//   want_levels(), set_reported_types() -> read_all()
//        -> { on_raw() | on_birth() -> uid_of(), numbers_of() }*
//
// A query is about an event, given by its stamp; 0: the event passed in last. The answer is as of
// that time. Not thread-safe. Reads /proc, which must show the pid namespace whose pids the sources
// report.
class TaskIds {
 public:
  // Tasks stored: 53 to 107 bytes each, 20 MiB for all of them; 68 more for each task inside a
  // namespace. At the limit, other tasks are read from /proc at each query.
  static constexpr size_t kMost = 262'144;

  explicit TaskIds(const ProcReader& proc, const Clock& clock, size_t most = kMost,
                   PidNamespaces::From from = pid_namespaces_from)
      : proc_(proc), clock_(clock), namespaces_(from), most_(most) {
    time_.take(clock_);
  }

  // Levels are read and stored only while wanted; costs a read of /proc for each birth that a
  // thread-level source reports. True: this is a change, so call read_all() next.
  bool want_levels(bool wanted);
  // The event types, KNELL_EVENT_*, of which every event is passed in; none before the first call.
  // FORK: only if every birth is, also of processes that no listener asked for, and of threads
  // while levels are wanted. EXIT: only if the end of every process is. If a named type is
  // incomplete, one process may be taken for another. With neither FORK nor EXIT, an entry is
  // checked against /proc at each query; without UID the uid is, too.
  // Adding a type discards all entries: events were missed until now.
  void set_reported_types(uint32_t mask);
  // Discards all entries and reads /proc: at the start, after subscribing. In pieces: begin_scan(),
  // then scan_some() until it returns true; a task that the scan has not reached is read when it is
  // queried. After a hole sweep() begins a scan.
  void read_all(uint64_t now_ns);
  void begin_scan(uint64_t now_ns);
  bool scan_some(ScanBudget& budget);

  // Call it in the order of the stream, before queries about the event. A LOST discards all entries
  // if its types are unknown or include a birth, a change of uid or, while births are not received,
  // an exit.
  void on_raw(const event::Raw& raw);
  // A birth that another source reports, with the numbers of the child.
  void on_birth(const Birth& birth);
  // Discards all entries, as such a LOST does.
  void on_births_lost() { distrust(); }

  // The real uid of a process; nullopt: unknown.
  std::optional<uint32_t> uid_of(int32_t pid, uint64_t stamp_ns = 0);

  struct Numbers {
    std::span<const event::NamespacePid> of;  // from the outermost namespace below the initial one
    bool known = false;                       // false: the numbers are unknown, and `of` is empty
  };
  // The numbers of a process or a thread. Valid until the next call.
  Numbers numbers_of(int32_t tid, uint64_t stamp_ns = 0);

  // For another source that reports every birth inside a pid namespace, by on_birth(), and no other
  // birth: it has reported all that happened until now. So a task whose birth was reported by another
  // source, and not by this one, is in the initial namespace. Call it once the task has run, or has
  // ended: before that its birth may not have been reported yet.
  void settle_initial_namespace(int32_t tid, uint64_t stamp_ns);

  // Checks some entries, `at_least` or more, and erases those that are gone for longer than
  // GoneTimer::kGoneNs. After a hole begins a scan, at most once in kLookNs. Call it when the
  // source was left empty.
  template <class F>
  void sweep(size_t at_least, uint64_t now_ns, F is_gone) {
    time_.take(clock_);
    if (hole_ && !scan_.running() && now_ns >= looked_ns_ + kLookNs) return begin_scan(now_ns);
    erase_ended(now_ns, is_gone);
    const size_t count = 3 * born_ + at_least;  // see Assembler::sweep()
    born_ = 0;
    tasks_.sweep(count, [&](int32_t tid, Task& task) {
      if (!task.gone_timer.gone_for_long(is_gone(tid), now_ns)) return false;
      free_numbers(task);
      return true;
    });
  }

  size_t size() const { return tasks_.size(); }
  uint64_t forgotten() const { return forgotten_; }  // tasks not stored at the limit
  size_t lists_for_testing() const { return numbers_.size(); }

 private:
  static constexpr uint32_t kNoNumbers = UINT32_MAX;
  static constexpr size_t kMostEnded = 65'536;        // picked, never tuned
  static constexpr uint64_t kLookNs = 1'000'000'000;  // picked, never tuned

  struct Task {
    uint64_t start = 0;  // clock ticks since boot
    uint32_t uid = 0;
    uint32_t numbers = kNoNumbers;  // in numbers_; none: in the initial namespace, if known
    uint32_t ended = 0;             // ticks at its exit event; 0: none was received
    GoneTimer gone_timer{};
    bool thread = false;  // true: not the leader of its process
    bool exact = false;   // false: the start is the stamp of its fork event
    bool uid_known = false, levels_known = false;
    bool levels_tried = false;  // a second try is useless
  };
  struct List {
    std::array<event::NamespacePid, event::kMostLevels> at;
    uint32_t count = 0;
  };
  struct Ended {
    uint64_t stamp_ns, start;
    int32_t tid;
  };
  void on_fork(const event::Raw& raw);
  void inherit_uid(const event::Raw& fork, Task& task);
  void read_levels_at_birth(int32_t tid, Task& task);
  void changed_uid(int32_t pid, uint32_t uid);
  void distrust();
  uint32_t relied_on() const;
  void forget_all(uint64_t now_ns);
  void note_end(int32_t tid, uint64_t stamp_ns);

  enum class Need { kUid, kLevels };
  const Task* trusted(int32_t tid, uint64_t stamp_ns, Need need);
  bool is_followed(const Task& task, uint64_t stamp_ns) const;
  bool is_good(const Task& task, uint64_t stamp_ns, Need need) const;
  static bool is_same(const Task& birth, const Task& known);
  static bool still_has_it(const Task& task, const Task& now);
  bool read(int32_t tid, Task& task);
  void read_levels(const ProcFolder& folder, const TaskStatus& status, Task& task);
  Task* keep(int32_t tid, const Task& task);

  void forget(int32_t tid);
  void set_numbers(Task& task, std::span<const event::NamespacePid> numbers);
  void free_numbers(Task& task);

  template <class F>
  void erase_ended(uint64_t now_ns, F is_gone) {
    while (!ended_.empty()) {
      const Ended& first = ended_.front();
      if (first.stamp_ns + GoneTimer::kGoneNs > now_ns) return;
      const Task* task = tasks_.find(first.tid);
      // A leader may exit before its process ends.
      if (task != nullptr && task->start == first.start && is_gone(first.tid)) {
        forget(first.tid);
        if (born_ > 0) --born_;
      }
      ended_.pop_front();
    }
  }

  const ProcReader& proc_;
  const Clock& clock_;
  PidNamespaces namespaces_;
  size_t most_;
  Timebase time_;
  PidMap<Task> tasks_;
  std::deque<List> numbers_;
  std::vector<uint32_t> free_;
  std::deque<Ended> ended_;
  Task passing_;  // for an answer about a task that is not stored
  bool levels_wanted_ = false;
  uint32_t reported_types_ = 0;
  uint64_t seen_ns_ = UINT64_MAX;  // stamp of the event passed in last
  uint64_t from_ns_ = 0;           // births with an older stamp are ignored
  PidScan scan_;
  uint64_t looked_ns_ = 0;  // when the last scan began
  bool hole_ = false;       // events were lost since then
  // An entry from a birth inside a namespace was replaced by an older birth with the same number:
  // tasks born until then are not settled. In clock ticks.
  uint64_t unsettled_until_ = 0;
  size_t born_ = 0;  // since the last sweep
  uint64_t forgotten_ = 0;
};

}  // namespace knell::process
