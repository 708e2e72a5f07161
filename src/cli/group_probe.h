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

// A process of our own beside CMD, in our process group, of which nobody knows; see group_probe.cc.
// What signals it gets were sent to the whole group. It continues us when CMD is continued behind
// our back, and when we are killed it passes SIGKILL on to CMD and names what is left behind.
class GroupProbe {
 public:
  // `signals` keeps them blocked in the probe, too. `name` of CMD is for its last words.
  static Outcome<GroupProbe> create(const BlockedSignals& signals, pid_t command,
                                    const std::string& name);
  GroupProbe(GroupProbe&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        socket_(std::move(other.socket_)),
        requests_(other.requests_) {}
  GroupProbe& operator=(GroupProbe&&) = delete;
  ~GroupProbe();  // it ends, and is reaped

  pid_t pid() const { return pid_; }
  // Appends the signals it got since the last call: all that were sent to the group before this
  // call are among them. False: it is gone, and nothing is known of groups any more.
  bool take(std::vector<siginfo_t>& out);
  // CMD has stopped and we are about to; we run again.
  void stopping();
  void continued();
  void on_reaped() { pid_ = -1; }  // it was killed, and somebody else waited for it

 private:
  GroupProbe(pid_t pid, UniqueFd socket) : pid_(pid), socket_(std::move(socket)) {}

  bool send(char what);

  pid_t pid_;
  UniqueFd socket_;
  uint32_t requests_ = 0;
};

// Waits until a signal that is being sent to our process group has reached all of it.
void wait_for_group_signals();

}  // namespace knell::cli
