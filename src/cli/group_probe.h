// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "cli/blocked_signals.h"
#include "cli/failure.h"

namespace knell::cli {

// A helper process in the process group of knell run and CMD; see group_probe.cc. No other process
// knows its pid, so a signal that it receives was sent to the whole group. It also continues knell
// run when another process continues CMD alone, and when knell run is killed it kills CMD and
// reports the processes that still run.
class GroupProbe {
 public:
  // `signals`: stay blocked in the probe, too. `name` of CMD is for the message that the probe
  // prints when we are killed.
  static Outcome<GroupProbe> create(const BlockedSignals& signals, pid_t command,
                                    const std::string& name);
  GroupProbe(GroupProbe&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        socket_(std::move(other.socket_)),
        requests_(other.requests_) {}
  GroupProbe& operator=(GroupProbe&&) = delete;
  ~GroupProbe();  // ends and reaps the probe

  pid_t pid() const { return pid_; }
  // Appends the signals that the probe received since the last call, including all that were sent
  // to the group before this call. False: the probe has ended, and signals to the group can no
  // longer be distinguished.
  bool take(std::vector<siginfo_t>& out);
  // stopping(): CMD has stopped and we are about to stop. continued(): we run again.
  void stopping();
  void continued();
  void on_reaped() { pid_ = -1; }  // the probe was killed, and the caller has reaped it

 private:
  GroupProbe(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}

  bool send(char what);

  pid_t pid_;
  UniqueFd socket_;
  uint32_t requests_ = 0;
};

// Waits until a signal that is being sent to the process group has reached all its members.
void wait_for_group_signals();

}  // namespace knell::cli
