// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/signal_origin.h"

#include <gtest/gtest.h>
#include <knell/knell.h>
#include <sys/syscall.h>

namespace knell::source {
namespace {

constexpr pid_t kSelf = 10, kParent = 5, kOther = 20;
constexpr SignalReceiver kReceiver{.pid = kSelf, .parent = kParent, .system_call = -1};

siginfo_t info_of(int signal, int code, pid_t pid = 0) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = code;
  info.si_pid = pid;
  return info;
}

void expect(const siginfo_t& info, const SignalReceiver& receiver, bool lives, uint32_t cause,
            pid_t pid) {
  const SignalOrigin origin = signal_origin(info, receiver, lives);
  EXPECT_EQ(origin.cause, cause) << "signal " << info.si_signo << " code " << info.si_code;
  EXPECT_EQ(origin.pid, pid) << "signal " << info.si_signo << " code " << info.si_code;
}

SignalReceiver in_call(long system_call) {
  SignalReceiver receiver = kReceiver;
  receiver.system_call = system_call;
  return receiver;
}

TEST(SignalOrigin, OfAnotherProcess) {
  for (const bool lives : {true, false}) {
    expect(info_of(SIGTERM, SI_USER, kOther), kReceiver, lives, KNELL_CAUSE_USER, kOther);
    expect(info_of(SIGTERM, SI_TKILL, kOther), kReceiver, lives, KNELL_CAUSE_USER, kOther);
  }
  expect(info_of(SIGTERM, SI_USER, 0), kReceiver, false, KNELL_CAUSE_USER, 0);
}

TEST(SignalOrigin, OfAParentThatMayJustHaveEnded) {
  const siginfo_t info = info_of(SIGTERM, SI_USER, kParent);
  expect(info, kReceiver, true, KNELL_CAUSE_USER, kParent);
  expect(info, kReceiver, false, 0, 0);
  SignalReceiver threads = kReceiver;
  threads.parent_has_threads = true;
  expect(info, threads, true, 0, 0);
  expect(info_of(SIGTERM, SI_TKILL, kParent), threads, true, KNELL_CAUSE_USER, kParent);
  SignalReceiver orphan = kReceiver;
  orphan.reparented = true;
  expect(info_of(SIGTERM, SI_USER, kOther), orphan, true, KNELL_CAUSE_USER, kOther);
  expect(info_of(SIGTERM, SI_USER, kOther), orphan, false, 0, 0);
  SignalReceiver unknown = kReceiver;
  unknown.parent = 0;
  expect(info_of(SIGTERM, SI_USER, kOther), unknown, false, 0, 0);
}

TEST(SignalOrigin, OfTheProcessItself) {
  expect(info_of(SIGTERM, SI_USER, kSelf), kReceiver, true, KNELL_CAUSE_USER, kSelf);
  expect(info_of(SIGPIPE, SI_USER, kSelf), in_call(SYS_write), true, KNELL_CAUSE_KERNEL, 0);
  expect(info_of(SIGPIPE, SI_USER, kSelf), in_call(SYS_kill), true, KNELL_CAUSE_USER, kSelf);
  expect(info_of(SIGPIPE, SI_USER, kSelf), in_call(-1), true, 0, 0);
  expect(info_of(SIGPIPE, SI_TKILL, kSelf), in_call(-1), true, KNELL_CAUSE_USER, kSelf);
}

TEST(SignalOrigin, InANestedPidNamespaceOnlyItself) {
  SignalReceiver nested = kReceiver;
  nested.nested = true;
  expect(info_of(SIGTERM, SI_USER, kOther), nested, true, 0, 0);
  expect(info_of(SIGTERM, SI_USER, 0), nested, false, 0, 0);
  expect(info_of(SIGTERM, SI_USER, kSelf), nested, true, KNELL_CAUSE_USER, kSelf);
}

TEST(SignalOrigin, OfTheKernelUnlessItIsForged) {
  expect(info_of(SIGSEGV, SEGV_MAPERR), kReceiver, false, KNELL_CAUSE_KERNEL, 0);
  expect(info_of(SIGINT, SI_KERNEL), in_call(SYS_read), false, KNELL_CAUSE_KERNEL, 0);
  expect(info_of(SIGSEGV, SEGV_MAPERR), in_call(SYS_rt_tgsigqueueinfo), false, 0, 0);
  expect(info_of(SIGTERM, SI_KERNEL), in_call(SYS_rt_sigqueueinfo), false, 0, 0);
  SignalReceiver unknown = kReceiver;
  unknown.system_call.reset();
  expect(info_of(SIGTERM, SI_KERNEL), unknown, false, 0, 0);
}

TEST(SignalOrigin, NegativeCodesCanBeForged) {
  expect(info_of(SIGTERM, SI_QUEUE, kOther), kReceiver, true, KNELL_CAUSE_USER, 0);
  for (const int code : {SI_TIMER, SI_MESGQ, SI_ASYNCIO, SI_SIGIO})
    expect(info_of(SIGTERM, code, kOther), kReceiver, true, 0, 0);
}

}  // namespace
}  // namespace knell::source
