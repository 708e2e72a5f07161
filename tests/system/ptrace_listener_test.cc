// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A listener via ptrace: what the tracer saw, as events of the library; and knell_doctor(), which
// tries to trace. (tracer_test.cc has the tracer, traps_test.cc the lives and ends of processes.)
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "base/proc_stat.h"
#include "support/held.h"
#include "support/needs.h"
#include "support/recorder.h"

namespace knell::test {
namespace {

Recorder::Wish traced() { return {.latency_ns = 0, .via = "ptrace"}; }

int wait_for_signals() {
  for (;;) ::pause();
  return 0;
}

// The exit of a process that has ended when this returns.
std::optional<Seen> exit_of(Recorder& recorder, pid_t pid) {
  if (!recorder.read_until_exit_of(pid)) return std::nullopt;
  return recorder.of(pid, KNELL_EVENT_EXIT).front();
}

TEST(PtraceListener, NamesTheSenderOfADeadlySignal) {
  Held held(wait_for_signals);
  Recorder recorder(traced());
  ASSERT_FALSE(recorder.listener().add(held.pid())) << knell_explain();
  EXPECT_EQ(recorder.listener().stats().via, static_cast<uint32_t>(KNELL_VIA_PTRACE));
  held.go();
  held.child().kill(SIGTERM);
  EXPECT_EQ(held.wait(), SIGTERM);
  const auto exit = exit_of(recorder, held.pid());
  ASSERT_TRUE(exit);
  const knell_event& event = exit->raw;
  EXPECT_EQ(event.via, static_cast<uint32_t>(KNELL_VIA_PTRACE));
  EXPECT_EQ(event.ppid, ::getpid());
  EXPECT_EQ(event.id.kind, static_cast<uint32_t>(KNELL_ID_START));
  EXPECT_NE(event.has & KNELL_HAS_DURATION, 0U);
  ASSERT_NE(event.has & KNELL_HAS_KILLER, 0U);
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  EXPECT_EQ(event.killed_by.pid, ::getpid());
  EXPECT_EQ(event.killed_by.uid, ::getuid());
  EXPECT_EQ(event.killed_by.parent_pid, ::getppid());
  const auto self = read_proc_stat(::getpid());
  ASSERT_TRUE(self);
  EXPECT_EQ(exit->killer_comm, std::string(self->comm.data()));
}

TEST(PtraceListener, NamesTheLastRequestToEnd) {
  Pipe ready = make_pipe();
  Held held([&] {
    ::signal(SIGTERM, [](int) { ::_exit(3); });
    (void)!::write(ready.write.get(), "", 1);
    return wait_for_signals();
  });
  Recorder recorder(traced());
  ASSERT_FALSE(recorder.listener().add(held.pid())) << knell_explain();
  held.go();
  char byte;
  ASSERT_EQ(::read(ready.read.get(), &byte, 1), 1);
  held.child().kill(SIGTERM);
  EXPECT_EQ(held.wait(), 3 << 8);
  const auto exit = exit_of(recorder, held.pid());
  ASSERT_TRUE(exit);
  ASSERT_NE(exit->raw.has & KNELL_HAS_LAST_SIGNAL, 0U);
  EXPECT_EQ(exit->raw.last_signal.signal, SIGTERM);
  EXPECT_EQ(exit->raw.last_signal.pid, ::getpid());
}

TEST(PtraceListener, TracesOneProcess) {
  Held one([] { return 1; }), two([] { return 2; });
  Recorder recorder(traced());
  ASSERT_FALSE(recorder.listener().add(one.pid())) << knell_explain();
  EXPECT_EQ(recorder.listener().add(two.pid()), std::errc::device_or_resource_busy);
  EXPECT_EQ(tracer_of(two.pid()), 0);
  const pid_t tracer = tracer_of(one.pid());
  EXPECT_GT(tracer, 0);
  recorder.listener() = Listener();
  EXPECT_EQ(tracer_of(one.pid()), 0);
  EXPECT_EQ(state_of(tracer), '\0') << "it was not reaped";
}

TEST(PtraceListener, ReportsALossWhenTheTracerIsKilled) {
  Held held([] { return 5; });
  Recorder recorder(traced());
  ASSERT_FALSE(recorder.listener().add(held.pid())) << knell_explain();
  ::kill(tracer_of(held.pid()), SIGKILL);
  ASSERT_TRUE(recorder.read_until([&] { return !recorder.of_type(KNELL_EVENT_LOST).empty(); }));
  EXPECT_EQ(recorder.of_type(KNELL_EVENT_LOST)[0].raw.has & KNELL_HAS_COUNT, 0U);
  held.go();
  EXPECT_EQ(held.wait(), 5 << 8);
}

TEST(PtraceListener, MarksTheExecOfAProgramThatTraces) {
  KNELL_NEEDS(lacks_file("/usr/bin/strace"));
  Held held({"/usr/bin/strace", "-o", "/dev/null", victim("exit_with"), "3"});
  Recorder recorder(traced());
  ASSERT_FALSE(recorder.listener().add(held.pid())) << knell_explain();
  held.go();
  EXPECT_EQ(held.wait(), 3 << 8);
  ASSERT_TRUE(recorder.read_until([&] { return !recorder.of_type(KNELL_EVENT_LOST).empty(); }));
  ASSERT_EQ(recorder.seen().size(), 2U) << text_of(recorder.seen());
  EXPECT_EQ(recorder.seen()[0].type(), static_cast<uint32_t>(KNELL_EVENT_EXEC));
  EXPECT_EQ(recorder.seen()[0].raw.flags, KNELL_FLAG_NOT_FOLLOWED);
}

std::atomic<int> children_ended = 0;

// A program that calls the library must not find the processes that it starts.
TEST(PtraceDoctor, ExaminesUnnoticed) {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {  // of other tests
  }
  struct sigaction before{}, action{};
  action.sa_handler = [](int) { ++children_ended; };
  ASSERT_EQ(::sigaction(SIGCHLD, &action, &before), 0);
  uint32_t level = KNELL_FINDING_NOTE;
  const auto find = [](const knell_finding* finding, void* found) {
    if (std::string(finding->subject) == "ptrace") *static_cast<uint32_t*>(found) = finding->level;
    return 0;
  };
  EXPECT_EQ(knell_doctor(find, &level), 0);
  EXPECT_EQ(level, static_cast<uint32_t>(KNELL_FINDING_OK));
  EXPECT_EQ(children_ended, 0);
  EXPECT_EQ(::waitpid(-1, nullptr, __WALL | WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  ::sigaction(SIGCHLD, &before, nullptr);
}

}  // namespace
}  // namespace knell::test
