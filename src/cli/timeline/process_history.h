// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/summary.h"
#include "cli/timeline/string_table.h"

namespace knell::cli {

constexpr uint32_t kNoProcess = UINT32_MAX;

// What is known of one process from a stream of events. Texts are numbers in a StringTable.
struct PastProcess {
  enum class End : uint8_t {
    kRunning,  // no exit was seen
    kUnknown,  // it exited, the status is unknown
    kSuccess,  // exit 0
    kFailure,  // another exit code
    kSignal,   // killed by a signal
    kOom       // killed by the out-of-memory killer
  };
  knell_id id{}, parent_id{};
  pid_t pid = 0;
  uint32_t parent = kNoProcess;  // index
  uint64_t start_ns = 0;         // CLOCK_MONOTONIC; where it is unknown, the first event about it
  bool start_known = false;
  uint64_t end_ns = 0;  // CLOCK_MONOTONIC; of a running process the end of the history
  End end = End::kRunning;
  bool executed = false;  // an exec was seen
  bool args_truncated = false;
  uint32_t name = 0;         // comm
  uint32_t parent_name = 0;  // comm of the parent, where the parent has no index
  uint32_t args = 0;         // each ended by a NUL byte
  uint32_t ended = 0;        // "exit 1", "SIGKILL oom"
  uint32_t cause = 0;        // "kill by 8103 bash (root)"

  bool failed() const { return end >= End::kFailure; }
};

// The processes of a stream of events, which may be live or of a recording: each process that any
// event is about, with its parent, life and end. Add the events in the order of the stream, then
// call finish(). The times of events of several boots are made comparable: all are those of the
// clock of the first boot. Not thread-safe.
class ProcessHistory {
 public:
  // Processes beyond `most` are only counted, so that the memory is bounded.
  explicit ProcessHistory(size_t most = kMost) : most_(most) {}

  void add(const knell_event& event);
  // Adds a process that has just been started and for which no fork will be reported.
  void start(pid_t pid, uint64_t mono_ns);
  // Sets the time from which on events were received; by default, and at the latest, that of the
  // earliest event. The history begins with the first process that started after it.
  void set_begin(uint64_t mono_ns) { begin_ns_ = mono_ns; }
  // The times of the events are CLOCK_REALTIME, not CLOCK_MONOTONIC.
  void set_realtime() { realtime_ = true; }
  bool realtime() const { return realtime_; }
  // The stream has ended; processes without an exit were running at `mono_ns`, or at the last
  // event if that is later.
  void finish(uint64_t mono_ns = 0);

  std::span<const PastProcess> processes() const { return processes_; }
  std::string_view text(uint32_t number) const { return strings_[number]; }
  // The arguments as a command line, safe to print; "[comm]" where they are unknown.
  std::string command(const PastProcess& process) const;
  uint64_t begin_ns() const { return begin_ns_.value_or(0); }
  uint64_t end_ns() const { return end_ns_; }
  // The start of the process, or of the history if it started before.
  uint64_t shown_start_ns(const PastProcess& process) const;
  // Whether the process ran already at shown_start_ns().
  bool started_before(const PastProcess& process) const {
    return !process.start_known || process.start_ns < begin_ns();
  }
  // What CLOCK_REALTIME was at begin_ns(), ns since the epoch; 0: there was no event.
  int64_t begin_time_ns() const;
  const Losses& losses() const { return losses_; }
  uint64_t left_out() const { return left_out_; }  // forks of processes beyond `most`

 private:
  // Chosen: a process takes some 250 bytes, and its arguments.
  static constexpr size_t kMost = size_t{1} << 21;

  uint32_t find(pid_t pid, const knell_id& id) const;
  uint32_t find_or_add(const knell_event& event);
  uint32_t push(PastProcess process);
  bool other_boot(const knell_event& event);
  void add_of_first_boot(const knell_event& event);
  void add_fork(const knell_event& event);
  void add_exit(const knell_event& event, PastProcess& process);
  void set_names(const knell_event& event, PastProcess& process);
  void link_late();
  void break_cycles();

  struct IdHash {
    size_t operator()(const knell_id& id) const;
  };
  struct IdEqual {
    bool operator()(const knell_id& a, const knell_id& b) const;
  };

  size_t most_;
  std::vector<PastProcess> processes_;
  StringTable strings_;
  std::unordered_map<knell_id, uint32_t, IdHash, IdEqual> by_id_;
  std::unordered_map<pid_t, uint32_t> by_pid_;  // the last process with this pid
  Losses losses_;
  uint64_t left_out_ = 0;
  std::optional<uint64_t> begin_ns_;
  uint64_t earliest_ns_ = UINT64_MAX;  // the earliest event
  uint64_t end_ns_ = 0;
  std::optional<uint32_t> boot_;  // of the first event
  bool in_other_boot_ = false;    // the last event is of another one
  int64_t real_minus_mono_ns_ = 0;
  bool realtime_ = false;
};

// The children of each process, in the order of their starts.
class ChildIndex {
 public:
  explicit ChildIndex(const ProcessHistory& history);
  std::span<const uint32_t> of(uint32_t process) const {
    return std::span(children_).subspan(first_[process], first_[process + 1] - first_[process]);
  }
  std::span<const uint32_t> top() const { return top_; }  // processes without a parent

 private:
  std::vector<uint32_t> first_, children_, top_;
};

}  // namespace knell::cli
