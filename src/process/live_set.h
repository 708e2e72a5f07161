// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "base/unique_fd.h"
#include "process/kernel_processes.h"
#include "process/process_table.h"

namespace knell::process {

// Which processes a LiveSet has.
enum class Tracked : uint8_t {
  kNone,
  kNamed,  // those passed to follow()
  kAll     // every process: begin() and end() are called for each
};

// The processes that are alive, as far as the events say, and the comparison of this set with the
// kernel's processes after events were lost. The set is a view of a source's table of processes:
// the entries with Life::alive. See live_set.cc. Not thread-safe.
//
//   use() -> track() -> { follow(), begin(), executed(), end(), on_lost() }*, and advance() while
//   due_ns()
class LiveSet {
 public:
  // What the comparison found: an event that was lost. `start`: clock ticks since boot.
  struct Difference {
    enum class Kind : uint8_t {
      kEnded,  // the process has ended, and its exit did not come
      kBegun,  // the process is alive, and its fork did not come
      kExecuted
    } kind = Kind::kEnded;
    int32_t pid = 0, ppid = 0;  // ppid: unless it ended
    uint64_t start = 0;
    bool exact = true;                // false: `start` may be a tick too late
    std::optional<int32_t> status{};  // kEnded
  };
  class Report {
   public:
    virtual ~Report() = default;
    // Whether there is room for two more differences; else advance() returns, to be called again.
    virtual bool has_room() = 0;
    virtual void on_difference(const Difference& difference) = 0;
  };

  // The references must outlive it. `most_open`: descriptors to hold of processes passed to
  // follow().
  LiveSet(KernelProcesses& kernel, const Clock& clock, size_t most_open)
      : kernel_(kernel), clock_(clock), most_open_(most_open) {}

  // The table that holds the set from now on, which takes over what the former table had of it.
  // Both must exist during the call. nullptr: no table, so track(kNone) only.
  void use(ProcessTable* table);

  // Sets which processes to track. `now_ticks`: clock ticks since boot. With more than before, the
  // existing processes must be read: call scan_some() until it returns true.
  void track(Tracked tracked, bool execs, uint64_t now_ticks);
  Tracked tracked() const { return tracked_; }
  bool scan_some(ScanBudget& budget);

  // A process whose exit is wanted by its pid. `start`: clock ticks since boot; 0: it is read.
  void follow(int32_t pid, uint64_t start);
  void unfollow(int32_t pid);

  // Events, in the order of the stream. begin() and end() return an earlier process that had this
  // pid, and so must have ended without an event. `exact`: see Difference.
  std::optional<Difference> begin(int32_t pid, uint64_t start, bool exact);
  void executed(int32_t pid, uint64_t start);  // start 0: unknown, as in end()
  std::optional<Difference> end(int32_t pid, uint64_t start);
  // Events were lost, which may have changed the set: compares it with the kernel's processes.
  void on_lost() { lost_ = tracked_ != Tracked::kNone; }

  bool has(int32_t pid) const { return table_ != nullptr && table_->find_live(pid) != nullptr; }
  size_t size() const { return table_ == nullptr ? 0 : table_->live_count(); }
  size_t bytes() const;

  // Does a piece of the comparison. `read_until_ns`: all events before this time were passed to
  // this object.
  void advance(ScanBudget& budget, uint64_t read_until_ns, Report& report);
  // When to call advance(); 0: not before the next on_lost(). 1: now.
  uint64_t due_ns() const;

  // How long a process that has gone may still send its exit, ns. Chosen, not measured: some
  // hundred times the usual delay.
  static constexpr uint64_t kSettleNs = 200'000'000;
  static constexpr uint64_t kEveryNs = 1'000'000'000;  // between the beginnings of two comparisons

 private:
  struct Candidate {
    Difference::Kind kind;
    int32_t pid;
    uint64_t start;
    bool executed = false;  // when it was listed: its exec has come by now, or was lost
  };
  struct Executed {
    uint64_t start = 0;  // 0: unknown
    uint32_t round = 0;  // the last comparison that had begun
  };
  enum class Phase : uint8_t { kIdle, kReading, kListing, kSettling, kDeciding };

  static bool is_same(const Life& known, uint64_t start) {
    return known.exact ? known.start == start : start <= known.start + 1;
  }
  void cancel();
  void begin_comparison();
  Life* add(int32_t pid, uint64_t start, bool exact);
  Life* find(int32_t pid) { return table_ == nullptr ? nullptr : table_->find_live(pid); }
  void erase(int32_t pid);
  void read_one(int32_t pid);
  void compare_one(int32_t pid);
  void end_listing();
  void end_comparison();
  void decide(Candidate& candidate, Report& report);
  void open(int32_t pid);
  Difference take_ended(int32_t pid, const Life& known);

  KernelProcesses& kernel_;
  const Clock& clock_;
  size_t most_open_;
  Tracked tracked_ = Tracked::kNone;
  bool execs_ = false;
  uint64_t since_ticks_ = 0;  // processes that began later must have sent a fork
  ProcessTable* table_ = nullptr;
  PidMap<UniqueFd> pidfds_;  // of processes in the set; at most most_open_

  Phase phase_ = Phase::kIdle;
  bool lost_ = false;    // a comparison must be begun
  bool unread_ = false;  // the existing processes must be read
  uint32_t round_ = 0;
  uint64_t began_ns_ = 0, listed_ns_ = 0;
  std::vector<int32_t> named_;  // with kNamed: the list of this comparison
  std::vector<Candidate> candidates_;
  // Processes that are not known, since their fork was lost, but whose exec came. The loss itself
  // may be reported after that.
  PidMap<Executed> executed_unknown_;
};

}  // namespace knell::process
