// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/signal_origin.h"

#include <knell/knell.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424  // the same on all architectures
#endif

namespace knell::source {
namespace {

bool sends_signals(long system_call) {
  return system_call == SYS_kill || system_call == SYS_tkill || system_call == SYS_tgkill ||
         system_call == SYS_pidfd_send_signal;
}

bool sends_any_code(long system_call) {
  return system_call == SYS_rt_sigqueueinfo || system_call == SYS_rt_tgsigqueueinfo ||
         system_call == SYS_pidfd_send_signal;
}

SignalOrigin of_itself(const siginfo_t& info, const SignalReceiver& receiver) {
  const bool of_a_write = info.si_signo == SIGPIPE || info.si_signo == SIGXFSZ;
  if (info.si_code == SI_TKILL || !of_a_write) return {KNELL_CAUSE_USER, receiver.pid};
  if (!receiver.system_call || *receiver.system_call < 0) return {};
  if (sends_signals(*receiver.system_call)) return {KNELL_CAUSE_USER, receiver.pid};
  return {KNELL_CAUSE_KERNEL, 0};
}

// With SI_USER or SI_TKILL.
SignalOrigin of_a_process(const siginfo_t& info, const SignalReceiver& receiver,
                          bool sender_lives) {
  if (info.si_pid == receiver.pid) return of_itself(info, receiver);
  // The number is one of a namespace that the tracer does not know.
  if (receiver.nested) return {};
  if (info.si_code == SI_TKILL) return {KNELL_CAUSE_USER, info.si_pid};
  if (info.si_pid == 0) return {KNELL_CAUSE_USER, 0};  // from outside our pid namespace
  const bool may_be_parent =
      info.si_pid == receiver.parent || receiver.parent == 0 || receiver.reparented;
  const bool may_be_its_end =
      may_be_parent &&
      (!sender_lives || (info.si_pid == receiver.parent && receiver.parent_has_threads));
  if (may_be_its_end) return {};
  return {KNELL_CAUSE_USER, info.si_pid};
}

}  // namespace

SignalOrigin signal_origin(const siginfo_t& info, const SignalReceiver& receiver,
                           bool sender_lives) {
  switch (info.si_code) {
    case SI_USER:
    case SI_TKILL:
      return of_a_process(info, receiver, sender_lives);
    case SI_QUEUE:
    case SI_ASYNCNL:
      return {KNELL_CAUSE_USER, 0};
    default:
      break;
  }
  if (info.si_code < 0) return {};
  if (!receiver.system_call || sends_any_code(*receiver.system_call)) return {};
  return {KNELL_CAUSE_KERNEL, 0};
}

}  // namespace knell::source
