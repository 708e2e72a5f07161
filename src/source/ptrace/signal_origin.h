// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <optional>

namespace knell::source {

// What a tracer knows about the process that a signal is delivered to, and about the process that
// siginfo names as the sender.
struct SignalReceiver {
  pid_t pid = 0;                    // as siginfo would name it: in its own pid namespace
  bool nested = false;              // in a pid namespace below the tracer's
  pid_t parent = 0;                 // its real parent at birth; 0: not known
  bool reparented = false;          // it has another parent by now
  bool parent_has_threads = false;  // or had them
  std::optional<long> system_call;  // that the receiving thread is in; -1: none
};

struct SignalOrigin {
  uint32_t cause = 0;  // enum knell_cause; 0: not certain
  pid_t pid = 0;       // the sender; 0: no process, or not certain
};

// Who sent a signal, as far as siginfo proves it:
// - kill(2) and tgkill(2): the kernel fills in the sender. But it marks the signal that announces
//   the end of a parent (PR_SET_PDEATHSIG) in the same way, so a parent that has ended by now, or a
//   thread of which may have ended, is not named.
// - SIGPIPE and SIGXFSZ are marked as if the process had sent them to itself: the system call that
//   the thread is in tells.
// - Positive codes are the kernel's, but a process can send any code to itself; then it is in that
//   system call.
// - Negative codes can be chosen by the sender, with any pid: SI_QUEUE is never the kernel's,
//   others may be.
// `sender_lives`: the process that `info` names is neither gone nor about to end.
SignalOrigin signal_origin(const siginfo_t& info, const SignalReceiver& receiver,
                           bool sender_lives);

}  // namespace knell::source
