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
#include "event/full.h"
#include "event/level.h"
#include "event/raw.h"
#include "watch/gone_timer.h"
#include "watch/pid_namespaces.h"
#include "watch/proc_reader.h"
#include "watch/timebase.h"

namespace knell::watch {

// Whose each process is, and what it is called in the pid namespaces it is in: followed from birth,
// since an event often comes when nobody can be asked any more. For events of sources that do not
// say it themselves, and to decide who may see them: so an answer is right, as far as can be known
// (docs/limits.md), or it is "not known". See task_ids.cc.
//
//   want_levels(), set_heard() -> read_all() -> { on_raw() | on_full() -> uid_of(), numbers_of() }*
//
// A question is of an event, by its stamp: 0 is the one handed over last. The answers are as of
// then. Not thread-safe. Reads /proc, where ours must be that of the pid namespace the sources tell
// of.
class TaskIds {
 public:
  // Tasks remembered: 53 to 107 bytes each, 20 MiB with all of them; 68 more for each inside a
  // namespace. At the limit /proc is all that is known of the others.
  static constexpr size_t kMost = 262'144;

  explicit TaskIds(const ProcReader& proc, const Clock& clock, size_t most = kMost,
                   PidNamespaces::From from = pid_namespaces_from)
      : proc_(proc), clock_(clock), namespaces_(from), most_(most) {
    time_.take(clock_);
  }

  // Levels are read and kept only while wanted; costs a look at /proc for each birth that a
  // thread-level source tells. To be followed by read_all().
  void want_levels(bool wanted);
  // Which events are all handed over: KNELL_EVENT_*. FORK only if every birth is told, also those
  // of processes nobody asked for, and of threads where levels are wanted; EXIT if the end of every
  // process is: whoever says so and leaves some out has one process taken for another. With neither
  // what is known of a pid is checked against /proc at each question; without UID as well, so is
  // the uid. Nothing, until it is said.
  // Hearing more makes everything unknown but what /proc says: births were missed until now.
  void set_heard(uint32_t mask);
  // Forgets all and reads /proc: at the start, after subscribing. In pieces: begin_scan(), then
  // scan_some() until it is true; whom it has not come to is read when it is asked about. After a
  // hole sweep() begins a scan.
  void read_all(uint64_t now_ns);
  void begin_scan(uint64_t now_ns);
  bool scan_some(ScanBudget& budget);

  // In the order of the stream, before anything is asked about it. A LOST that can have been a
  // birth or a change of uid makes everything unknown but what /proc says.
  void on_raw(const event::Raw& raw);
  void on_full(const event::Full& full);
  // As after such a LOST.
  void on_births_lost() { distrust(); }

  // The real uid of a process.
  std::optional<uint32_t> uid_of(int32_t pid, uint64_t stamp_ns = 0);

  struct Numbers {
    std::span<const event::Number> of;  // from the outermost below the initial one
    bool known = false;                 // false: `of` is empty, and that says nothing
  };
  // Of a process or a thread. Of one that the event's own source named, those in the namespaces of
  // its subject. Lives until the next call.
  Numbers numbers_of(int32_t tid, uint64_t stamp_ns = 0);

  // For a source that reports every birth inside a pid namespace, by on_full(), and no other: it
  // has reported all that happened until now. So a task whose birth another source reported, and
  // this one did not, is in the initial namespace. To be called once the task has run, or has
  // ended: before that its birth may not be reported yet.
  void settle_initial_namespace(int32_t tid, uint64_t stamp_ns);

  // Forgets those of some entries, at least so many, that are gone for long. After a hole
  // begins a scan, not more often than once in kLookNs. To be called when the source was left
  // empty.
  template <class F>
  void sweep(size_t at_least, uint64_t now_ns, F is_gone) {
    time_.take(clock_);
    if (hole_ && !scan_.running() && now_ns >= looked_ns_ + kLookNs) return begin_scan(now_ns);
    bury(now_ns, is_gone);
    const size_t count = 3 * born_ + at_least;  // see Normaliser::sweep()
    born_ = 0;
    tasks_.sweep(count, [&](int32_t tid, Task& task) {
      if (!task.missing.since_long(is_gone(tid), now_ns)) return false;
      free_numbers(task);
      return true;
    });
  }

  size_t size() const { return tasks_.size(); }
  uint64_t forgotten() const { return forgotten_; }  // for want of room
  size_t lists_for_testing() const { return numbers_.size(); }

 private:
  static constexpr uint32_t kNoNumbers = UINT32_MAX;
  static constexpr size_t kMostEnded = 65'536;        // picked, never tuned
  static constexpr uint64_t kLookNs = 1'000'000'000;  // picked, never tuned

  struct Task {
    uint64_t start = 0;  // clock ticks since boot
    uint32_t uid = 0;
    uint32_t numbers = kNoNumbers;  // in numbers_; none: it is in no namespace, if levels are known
    uint32_t ended = 0;             // ticks, when its end was told; 0: it was not
    GoneTimer missing{};
    bool thread = false;  // and not the first of its process
    bool exact = false;   // the start is not just when its birth was told
    bool uid_known = false, levels_known = false;
    bool levels_tried = false;  // to ask again is useless
  };
  struct List {
    std::array<event::Number, event::kMostLevels> at;
    uint32_t count = 0;
  };
  struct Ended {
    uint64_t stamp_ns, start;
    int32_t tid;
  };
  // What the event handed over last says itself of those it names.
  struct Stated {
    uint64_t stamp_ns = 0;
    event::Full full;  // its levels are those below, its text is gone
    std::array<event::Level, event::kMostLevels> levels;
  };

  void on_fork(const event::Raw& raw);
  void inherit_uid(const event::Raw& fork, Task& task);
  void read_levels_at_birth(int32_t tid, Task& task);
  void changed_uid(int32_t pid, uint32_t uid);
  void on_birth(const event::Full& full);
  void distrust();
  uint32_t relied_on() const;
  void forget_all(uint64_t now_ns);
  std::optional<uint32_t> stated_uid(int32_t pid) const;
  int32_t event::Level::* stated_field(int32_t tid) const;
  void note_end(int32_t tid, uint64_t stamp_ns);

  enum class Need { kUid, kLevels };
  const Task* trusted(int32_t tid, uint64_t stamp_ns, Need need);
  bool is_followed(const Task& task, uint64_t stamp_ns) const;
  bool is_good(const Task& task, uint64_t stamp_ns, Need need) const;
  static bool is_same(const Task& birth, const Task& known);
  static bool still_has_it(const Task& task, const Task& now);
  bool read(int32_t tid, Task& task);
  void read_levels(const ProcFolder& folder, const Who& who, Task& task);
  Task* keep(int32_t tid, const Task& task);

  void forget(int32_t tid);
  void set_numbers(Task& task, std::span<const event::Number> numbers);
  void free_numbers(Task& task);

  template <class F>
  void bury(uint64_t now_ns, F is_gone) {
    while (!ended_.empty()) {
      const Ended& first = ended_.front();
      if (first.stamp_ns + GoneTimer::kGoneNs > now_ns) return;
      const Task* task = tasks_.find(first.tid);
      // A leader may go before its process.
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
  Task passing_;  // for an answer about one that is not kept
  List answer_;   // and for one out of stated_
  Stated stated_;
  bool levels_wanted_ = false;
  uint32_t heard_ = 0;
  uint64_t seen_ns_ = UINT64_MAX;  // the event handed over last
  uint64_t from_ns_ = 0;           // births told before cannot be relied on
  PidScan scan_;
  uint64_t looked_ns_ = 0;  // when it was begun
  bool hole_ = false;       // since then
  // A birth inside a namespace was replaced by an older one with the same number: tasks born until
  // then are not settled. In clock ticks.
  uint64_t unsettled_until_ = 0;
  size_t born_ = 0;  // since the last sweep
  uint64_t forgotten_ = 0;
};

}  // namespace knell::watch
