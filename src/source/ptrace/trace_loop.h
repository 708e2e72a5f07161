// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/proc_stat.h"
#include "source/ptrace/event_ring.h"
#include "source/ptrace/traced_event.h"
#include "source/ptrace/tracee_files.h"

namespace knell::source {

// What the process that traces does: it waits for its tracees, writes an event for what they did,
// and lets them continue. It knows each traced process and thread. See trace_loop.cc.
class TraceLoop {
 public:
  struct Options {
    bool names = true;     // read comm, ids and cgroup
    bool programs = true;  // read args, exe and cwd
  };
  // `wake` is called when the reader of `ring` sleeps and there is something to read.
  TraceLoop(EventRing& ring, const Options& options, std::function<void()> wake)
      : ring_(ring), options_(options), wake_(std::move(wake)) {}

  // Begins to trace the process and all its threads. Returns 0 or an errno.
  int seize(pid_t pid);
  // Returns when no tracee is left, or when the ring says that they are to be released.
  void run();

 private:
  // The program that a process runs, shared with the processes that it forked since.
  struct Image {
    std::string args, exe, cwd;
    bool has_args = false, args_truncated = false;
  };
  struct Process {
    uint64_t start = 0;
    pid_t ppid = 0;
    uint64_t parent_start = 0;
    bool has_comm = false, has_parent_comm = false, has_ids = false, has_tty = false;
    std::array<char, 16> comm{}, parent_comm{};
    uint32_t uid = 0, gid = 0, tty = 0;
    bool had_threads = false;
    std::shared_ptr<const Image> image;
    // The first of each signal that it neither caught nor ignored: several may be delivered at
    // once, to several threads.
    std::vector<Sender> deadly;
    bool unread_signal = false;  // a signal whose sender could not be read
    Sender request;              // the last request to end that it caught
  };
  using Processes = std::unordered_map<pid_t, Process>;

  void on_stop(pid_t tid, int status);
  void on_signal(pid_t tid, int signal);
  void on_birth(pid_t creator);
  void on_exec(pid_t tid);
  void on_end(pid_t tid);

  void adopt(pid_t tid);
  void add_thread(pid_t tid, pid_t pid);
  void add_process(pid_t pid, pid_t creator);
  void report_birth(pid_t pid, const Process& child);
  pid_t parent_at_birth(const ProcStat& stat, pid_t creator) const;
  pid_t find_creator(pid_t child, pid_t parent) const;
  bool has_zombies() const;
  void push_release(pid_t pid, const Process& process, Released reason);
  void release_all();

  void note_signal(pid_t tid, Process& process, const TraceeStatus& status, const siginfo_t& info);
  Sender sender_of(pid_t tid, Process& process, const TraceeStatus& status,
                   const siginfo_t& info) const;
  void refresh(pid_t pid, Process& process, const ProcStat* stat) const;
  void refresh_parent_comm(Process& process, const ProcStat* stat) const;
  std::shared_ptr<const Image> read_image(pid_t pid) const;
  TracedEvent event_of(TracedFacts::Type type, pid_t pid, const Process& process) const;
  void push(const TracedEvent& event);

  EventRing& ring_;
  const Options options_;
  std::function<void()> wake_;
  Clock& clock_ = system_clock();
  Processes processes_;
  std::unordered_map<pid_t, pid_t> threads_;  // every tracee, with its process
  // Processes that stopped before the fork of their creator was reported, with their starts.
  std::unordered_map<pid_t, uint64_t> early_;
  ProgramCache programs_;
};

}  // namespace knell::source
