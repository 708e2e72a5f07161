// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "cli/blocked_signals.h"
#include "cli/child.h"
#include "cli/group_probe.h"
#include "cli/signal_sorter.h"

namespace knell::cli {

// CMD, from exec to its end, acting in the place of this process: signals sent to this process are
// passed on to CMD, this process stops when CMD stops, and CMD has the terminal.
class Job {
 public:
  using Clock = std::chrono::steady_clock;

  Job(const BlockedSignals& signals, GroupProbe& probe, const Child& child, std::string name);

  // Call step() when fd() is readable, and at the time next() in any case.
  int fd() const { return signals_.fd(); }
  std::optional<Clock::time_point> next() const;
  void step();

  // To be called when CMD has forked: CMD may have left the process group of knell run by then, and
  // need the terminal.
  void on_fork() { (void)give_terminal(); }

  bool ended() const { return ended_; }
  int wait_status() const { return wait_status_; }
  // Whether a signal that asks to end came after CMD had ended: it can only be meant for this
  // process.
  bool end_requested() const { return end_requested_; }

  // An event reports this process as the sender of a signal that it passed on: replaces it by the
  // original sender. The strings that this sets are valid until the next step().
  void replace_sender(knell_event& exit) const;

 private:
  struct Sender {
    pid_t pid;  // 0: the kernel, or a process outside this pid namespace
    uid_t uid;
    bool kernel;
    std::string comm;  // empty: the sender had ended
    pid_t parent_pid;  // 0: its parent had ended too
    std::string parent_comm;
  };

  void sort_signals();
  void forward_signal(const SignalSorter::Sorted& signal);
  void remember_sender(const siginfo_t& info);
  const Sender* original_sender(int signal, pid_t sender) const;
  void send_waiting();
  void reap();
  void follow_stop(int signal);
  bool is_stopped() const;
  bool give_terminal();
  void take_terminal_back();
  bool leads_group_of_its_own() const;

  const BlockedSignals& signals_;
  GroupProbe& probe_;
  pid_t pid_;
  std::string name_;
  bool leader_;  // knell run leads its process group, as CMD would without knell
  bool has_probe_ = true;
  bool gave_terminal_ = false;
  SignalSorter sorter_;
  std::deque<siginfo_t> waiting_;  // to be sent; kept while CMD's queue is full
  std::map<int, Sender> senders_;  // the last sender of each signal that was passed on
  bool ended_ = false;
  bool end_requested_ = false;
  int wait_status_ = 0;
};

}  // namespace knell::cli
