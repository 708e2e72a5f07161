// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The added processes of a listener through the daemon: knell_add(), their exits, and how these are
// recovered.
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>
#include <sys/resource.h>

#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/child_for_test.h"
#include "lib/daemon_listener_for_test.h"

namespace knell::lib {
namespace {

using wire::Message;

knell_event lost_of(uint32_t types) {
  knell_event e = event(KNELL_EVENT_LOST, 0);
  e.has = KNELL_HAS_COUNT;
  e.lost_count = 3;
  e.lost_types = types;
  return e;
}

TEST_F(DaemonListenerTest, TheExitOfAZombieUnderAProcessIsReported) {
  open_for_added();
  ASSERT_TRUE(match("under", std::to_string(::getpid()).c_str()));
  Child child;
  child.die();
  ASSERT_TRUE(listener_->add(child.pid(), 0, 5));
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.cookie, 5u);
}

TEST_F(DaemonListenerTest, AddedProcessesHaveTheirCookiesUntilTheyExit) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_EXEC;
  options.only_added = 1;
  open(options);
  Child child;
  ASSERT_TRUE(listener_->add(child.pid(), 0, 77));
  const filter::Subscription asked = server_.subscribe(1);
  EXPECT_TRUE(asked.only_added);
  EXPECT_NE(asked.mask & KNELL_EVENT_EXIT, 0u) << "exits with status 0 are needed, too";
  ASSERT_EQ(server_.adds(1).size(), 1u);
  server_.send({event(KNELL_EVENT_EXEC, child.pid()), event(KNELL_EVENT_EXEC, 1)});
  server_.send({exit_of(child.pid(), 0)});
  server_.send({event(KNELL_EVENT_EXEC, child.pid())});  // another process with the same pid
  Child last;
  ASSERT_TRUE(listener_->add(last.pid(), 0, 78));
  server_.send({exit_of(last.pid())});
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].event.pid, child.pid());
  EXPECT_EQ(seen[0].event.cookie, 77u);
  EXPECT_EQ(seen[1].event.pid, last.pid());
  EXPECT_EQ(seen[1].event.cookie, 78u);
}

knell_event exit_of_one(int32_t pid, uint64_t start, int32_t status) {
  knell_event e = exit_of(pid, status);
  e.id.kind = KNELL_ID_START;
  e.id.start = start;
  return e;
}

// A process that was added and has ended, and another one with its pid that was added after it.
// Their cookies are 1 and 2.
class ReusedPid : public DaemonListenerTest {
 protected:
  void SetUp() override {
    open_for_added();
    first_start_ = start_of(first_.pid());
    ASSERT_TRUE(listener_->add(first_.pid(), 0, 1));
    second_ = first_.reuse_pid();
    if (second_ == nullptr) GTEST_SKIP() << "no permission to choose a pid";
    pid_ = second_->pid();
    second_start_ = start_of(pid_);
  }
  knell_event first_exit() const { return exit_of_one(pid_, first_start_, SIGKILL); }
  knell_event second_exit() const { return exit_of_one(pid_, second_start_, 0x700); }

  void expect_both_exits() {
    server_.send({first_exit(), second_exit()});
    const auto seen = read(2);
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[0].event.cookie, 1u);
    EXPECT_EQ(seen[0].event.wait_status, SIGKILL);
    EXPECT_EQ(seen[1].event.cookie, 2u);
    EXPECT_EQ(seen[1].event.wait_status, 0x700);
  }

  Child first_;
  std::unique_ptr<Child> second_;
  pid_t pid_ = 0;
  uint64_t first_start_ = 0, second_start_ = 0;
};

// The exit of the first process is sent, but not read, before its pid is that of another one.
TEST_F(ReusedPid, EachProcessHasItsCookie) {
  ASSERT_TRUE(listener_->add(pid_, 0, 2));
  expect_both_exits();
  EXPECT_EQ(listener_->remove(pid_).error().code, ENOENT);
}

TEST_F(ReusedPid, EachProcessHasItsCookieIfAddedWithItsStart) {
  ASSERT_TRUE(listener_->add(pid_, second_start_, 2));
  EXPECT_EQ(listener_->add(pid_, 0, 3).error().code, EEXIST);
  expect_both_exits();
}

TEST_F(ReusedPid, EachProcessHasItsCookieIfAddedWithOthers) {
  Child other;
  std::vector<knell_added> many{{other.pid(), 1, 0, 4}, {pid_, 1, 0, 2}, {pid_, 1, 0, 3}};
  listener_->add_many(many);
  EXPECT_EQ(many[0].error, 0);
  EXPECT_EQ(many[1].error, 0);
  EXPECT_EQ(many[2].error, -EEXIST);
  server_.send({first_exit(), second_exit(), exit_of(other.pid())});
  const auto seen = read(3);
  ASSERT_EQ(seen.size(), 3u);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(seen[i].event.cookie, (std::vector<uint64_t>{1, 2, 4})[i]);
}

TEST_F(ReusedPid, OfThreeProcessesEachHasItsCookie) {
  ASSERT_TRUE(listener_->add(pid_, 0, 2));
  const auto third = second_->reuse_pid();
  ASSERT_TRUE(third);
  ASSERT_TRUE(listener_->add(pid_, 0, 3));
  server_.send({first_exit(), second_exit(), exit_of_one(pid_, start_of(pid_), 0)});
  const auto seen = read(3);
  ASSERT_EQ(seen.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(seen[i].event.cookie, i + 1);
}

TEST_F(ReusedPid, TheExitOfTheFirstIsRecovered) {
  ASSERT_TRUE(listener_->add(pid_, 0, 2));
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.cookie, 1u);
  EXPECT_EQ(seen[0].event.id.start, first_start_);
  EXPECT_EQ(seen[0].event.has & KNELL_HAS_STATUS, 0u);
  EXPECT_NE(seen[0].event.flags & KNELL_FLAG_RECOVERED, 0u);
  server_.send({first_exit(), exit_of(pid_)});
  const auto rest = read(1);
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].event.cookie, 2u) << "the exit of the first was returned";
}

TEST_F(ReusedPid, RemovesTheSecond) {
  ASSERT_TRUE(listener_->add(pid_, 0, 2));
  ASSERT_TRUE(listener_->remove(pid_));
  server_.send({second_exit(), first_exit()});
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.cookie, 1u);
  EXPECT_EQ(listener_->remove(pid_).error().code, ENOENT);
}

TEST_F(ReusedPid, TheFirstStaysIfTheSecondIsRefused) {
  server_.answer_next(Message::kAdd, EDQUOT, "too many");
  EXPECT_EQ(listener_->add(pid_, 0, 2).error().code, EDQUOT);
  server_.send({second_exit(), first_exit()});
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.cookie, 1u);
  EXPECT_EQ(seen[0].event.wait_status, SIGKILL);
}

TEST_F(ReusedPid, OnlyTheSecondIsAddedAgainToANewDaemon) {
  ASSERT_TRUE(listener_->add(pid_, 0, 2));
  server_.stop();
  server_.start();
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].event.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
  EXPECT_EQ(seen[1].event.cookie, 1u);
  const auto adds = server_.adds(3);
  ASSERT_EQ(adds.size(), 3u);
  EXPECT_EQ(adds[2].start, second_start_);
  server_.send({second_exit()});
  const auto rest = read(1);
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].event.cookie, 2u);
}

// The starts tell the processes apart.
TEST_F(ReusedPid, IsDetectedWithoutADaemon) {
  server_.stop();
  const knell_event* none[1];
  EXPECT_EQ(*listener_->read(none, 1), 0u);
  EXPECT_TRUE(listener_->add(pid_, 0, 2));
  EXPECT_EQ(listener_->add(pid_, 0, 3).error().code, EEXIST);
}

TEST_F(DaemonListenerTest, RefusesProcessesThatCannotBeAdded) {
  open_for_added();
  Child child;
  EXPECT_EQ(listener_->add(-1, 0, 0).error().code, EINVAL);
  EXPECT_EQ(listener_->add(2147483000, 0, 0).error().code, ESRCH);
  EXPECT_EQ(listener_->add(child.pid(), 1, 0).error().code, ESRCH) << "another start";
  server_.answer_next(Message::kAdd, EEXIST, "the process was already added");
  EXPECT_EQ(listener_->add(child.pid(), 0, 0).error().code, EEXIST);
  EXPECT_EQ(listener_->remove(child.pid()).error().code, ENOENT);
  ASSERT_TRUE(listener_->add(child.pid(), 0, 0));
  EXPECT_TRUE(listener_->remove(child.pid()));
}

TEST_F(DaemonListenerTest, AddsManyWithOneRequest) {
  open_for_added();
  Child first, second, dead;
  dead.die();
  std::vector<knell_added> many{{first.pid(), 1, 0, 1},
                                {-1, 1, 0, 2},
                                {second.pid(), 1, 0, 3},
                                {first.pid(), 1, 0, 4},
                                {dead.pid(), 1, 0, 5}};
  listener_->add_many(many);
  std::vector<int> errors;
  for (const knell_added& one : many) errors.push_back(one.error);
  EXPECT_EQ(errors, (std::vector<int>{0, -EINVAL, 0, -EEXIST, 0}));
  EXPECT_EQ(server_.count(Message::kAdd), 1u);
  server_.send({exit_of(second.pid()), exit_of(first.pid())});
  const auto seen = read(3);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].event.cookie, 3u);
  EXPECT_EQ(seen[1].event.cookie, 1u);
  EXPECT_EQ(seen[2].event.cookie, 5u) << "the daemon does not report an exit that happened before";
}

TEST_F(DaemonListenerTest, AfterARefusalManyAreAddedOneByOne) {
  open_for_added();
  Child first, second;
  std::vector<knell_added> many{{first.pid(), 1, 0, 1}, {second.pid(), 1, 0, 2}};
  server_.answer_next(Message::kAdd, EDQUOT, "too many");
  listener_->add_many(many);
  EXPECT_EQ(server_.count(Message::kAdd), 3u);
  EXPECT_EQ(many[0].error, 0);
  EXPECT_EQ(many[1].error, 0);
  EXPECT_TRUE(listener_->remove(second.pid()));
}

TEST_F(DaemonListenerTest, SynthesizesTheExitOfAZombieThatTheDaemonDoesNotReport) {
  open_for_added();
  Child child;
  child.die();
  ASSERT_TRUE(listener_->add(child.pid(), 0, 5));
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.pid, child.pid());
  EXPECT_EQ(seen[0].event.type, static_cast<uint32_t>(KNELL_EVENT_EXIT));
  EXPECT_EQ(seen[0].event.cookie, 5u);
  EXPECT_EQ(seen[0].event.wait_status, 0x700);
  EXPECT_EQ(seen[0].event.flags & KNELL_FLAG_RECOVERED, 0u);
}

TEST_F(DaemonListenerTest, TheExitOfAZombiePassesPredicatesAboutItsDetails) {
  open_for_added();
  for (const auto& [key, value] : {std::pair{"comm", "nosuch"}, {"exe", "!/bin/sh"}, {"uid", "7"}})
    ASSERT_TRUE(match(key, value));
  Child child;
  child.die();
  ASSERT_TRUE(listener_->add(child.pid(), 0, 5));
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.pid, child.pid());
  EXPECT_NE(seen[0].event.flags & KNELL_FLAG_DETAILS_LOST, 0u);
}

TEST_F(DaemonListenerTest, ReportsAZombieOnceIfTheDaemonReportsIt) {
  open_for_added();
  Child child, other;
  child.die();
  ASSERT_TRUE(listener_->add(child.pid(), 0, 5));
  server_.send({exit_of(child.pid())});
  EXPECT_EQ(read(1).size(), 1u);
  // The daemon does not report `other`. Its grace period ends after that of `child`.
  other.die();
  ASSERT_TRUE(listener_->add(other.pid(), 0, 6));
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.pid, other.pid());
}

TEST_F(DaemonListenerTest, ReportsAProcessThatExitsBeforeTheDaemonAddsIt) {
  open_for_added();
  Child child;
  child.die();
  server_.answer_next(Message::kAdd, ESRCH, "no such process");
  ASSERT_TRUE(listener_->add(child.pid(), 0, 5));
  EXPECT_EQ(read(1).size(), 1u);
}

TEST_F(DaemonListenerTest, RecoversExitsWhileTheDaemonWasAway) {
  open_for_added();
  Child dead, alive;
  ASSERT_TRUE(listener_->add(dead.pid(), 0, 1));
  ASSERT_TRUE(listener_->add(alive.pid(), 0, 2));
  server_.stop();
  const knell_event* none[1];
  EXPECT_EQ(*listener_->read(none, 1), 0u);
  dead.reap();
  Child late;  // added while there is no connection
  ASSERT_TRUE(listener_->add(late.pid(), 0, 3));
  EXPECT_EQ(listener_->add(late.pid(), 0, 3).error().code, EEXIST);
  server_.start();
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].event.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
  EXPECT_EQ(seen[1].event.pid, dead.pid());
  EXPECT_EQ(seen[1].event.cookie, 1u);
  EXPECT_NE(seen[1].event.flags & KNELL_FLAG_RECOVERED, 0u);
  EXPECT_EQ(server_.adds(5).size(), 5u) << "two before, three after the restart";
  server_.send({exit_of(alive.pid()), exit_of(late.pid())});
  const auto rest = read(2);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[1].event.cookie, 3u);
}

// The queue of a slow reader was full when the process exited, so the daemon does not report it.
TEST_F(DaemonListenerTest, RecoversTheExitOfAnAddedProcessThatALostEventCounts) {
  for (const uint32_t types : {uint32_t{KNELL_EVENT_EXIT | KNELL_EVENT_COMM}, uint32_t{0}}) {
    open_for_added();
    Child dead, alive;
    ASSERT_TRUE(listener_->add(dead.pid(), 0, 1));
    ASSERT_TRUE(listener_->add(alive.pid(), 0, 2));
    dead.reap();
    server_.send({lost_of(types), lost_of(types)});
    const auto seen = read(3);
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0].event.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
    EXPECT_EQ(seen[1].event.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
    EXPECT_EQ(seen[2].event.pid, dead.pid());
    EXPECT_EQ(seen[2].event.cookie, 1u);
    EXPECT_NE(seen[2].event.flags & KNELL_FLAG_RECOVERED, 0u);
    EXPECT_EQ(listener_->remove(dead.pid()).error().code, ENOENT);
    server_.send({exit_of(alive.pid())});
    const auto rest = read(1);
    ASSERT_EQ(rest.size(), 1u);
    EXPECT_EQ(rest[0].event.cookie, 2u);
    listener_.reset();
  }
}

// The source may lose the record of an exit before the process has ended.
TEST_F(DaemonListenerTest, RecoversTheExitOfAProcessThatEndsAfterTheLostEvent) {
  open_for_added();
  Child child;
  ASSERT_TRUE(listener_->add(child.pid(), 0, 1));
  server_.send({lost_of(KNELL_EVENT_EXIT)});
  ASSERT_EQ(read(1).size(), 1u);
  const knell_event* none[1];
  ASSERT_EQ(*listener_->read(none, 1), 0u) << "finds it alive";
  child.reap();
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.pid, child.pid());
}

// More events than fit were sent while a request waited for its ack.
TEST_F(DaemonListenerTest, RecoversTheExitOfAnAddedProcessThatWasDroppedHere) {
  open_for_added();
  Child dead, other;
  ASSERT_TRUE(listener_->add(dead.pid(), 0, 1));
  std::string out, buffer;
  wire::EventFrame frame(out);
  while (frame.add(0, wire::encode_event(buffer, event(KNELL_EVENT_EXEC, dead.pid())))) continue;
  frame.finish();
  const size_t frames = PacketBuffer::kMostAside / (out.size() - 64) + 1;
  for (size_t i = 0; i < frames; ++i) server_.send_before_ack(Message::kAdd, out);
  server_.send_before_ack(Message::kAdd, FakeServer::frame_of({exit_of(dead.pid())}));
  dead.reap();
  ASSERT_TRUE(listener_->add(other.pid(), 0, 2));
  std::vector<Seen> seen;
  bool lost = false;
  do {
    seen = read(1);
    ASSERT_FALSE(seen.empty());
    lost |= seen.back().event.type == KNELL_EVENT_LOST;
  } while (seen.back().event.type != KNELL_EVENT_EXIT);
  EXPECT_TRUE(lost);
  EXPECT_EQ(seen.back().event.cookie, 1u);
}

// The grace period is one of the stream of events, not of a reader that is slow.
TEST_F(DaemonListenerTest, ASlowReaderGetsTheDaemonsReportOfAZombie) {
  open_for_added();
  Child child, other;
  child.die();
  ASSERT_TRUE(listener_->add(child.pid(), 0, 5));
  ASSERT_TRUE(listener_->add(other.pid(), 0, 6));
  server_.send({event(KNELL_EVENT_EXEC, other.pid()), exit_of(child.pid(), 0x300)});
  const uint64_t until =
      system_clock().monotonic_ns() + 700'000'000;  // longer than the grace period
  while (system_clock().monotonic_ns() < until) ::poll(nullptr, 0, 100);
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].event.wait_status, 0x300) << "not the one that was synthesized";
}

// Another process has the pid now: the start tells them apart.
TEST_F(DaemonListenerTest, RecoversTheExitOfAProcessWhosePidWasReusedWhileTheDaemonWasAway) {
  open_for_added();
  Child first, alive;
  const uint64_t start = start_of(first.pid());
  ASSERT_TRUE(listener_->add(first.pid(), start, 1));
  ASSERT_TRUE(listener_->add(alive.pid(), 0, 2));
  server_.stop();
  const knell_event* none[1];
  EXPECT_EQ(*listener_->read(none, 1), 0u);
  const auto reused = first.reuse_pid();
  if (reused == nullptr) GTEST_SKIP() << "no permission to choose a pid";
  reused->die();  // with another status
  server_.start();
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].event.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
  EXPECT_EQ(seen[1].event.cookie, 1u);
  EXPECT_EQ(seen[1].event.id.start, start);
  EXPECT_EQ(seen[1].event.has & KNELL_HAS_STATUS, 0u) << "that of another process";
  EXPECT_NE(seen[1].event.flags & KNELL_FLAG_RECOVERED, 0u);
}

TEST_F(DaemonListenerTest, RecoversTheExitOfAProcessThatTheDaemonCannotAddAgain) {
  open_for_added();
  Child first, second;
  ASSERT_TRUE(listener_->add(first.pid(), 0, 1));
  ASSERT_TRUE(listener_->add(second.pid(), 0, 2));
  server_.answer_next(Message::kAdd, ESRCH, "no such process");  // to the request with both
  server_.hang_up();
  const auto lost = read(1);
  ASSERT_EQ(lost.size(), 1u);
  // The processes are added one by one; the daemon refuses one of them.
  handle_until([this] { return server_.adds(0).size() == 4; });
  server_.answer_next(Message::kAdd, ESRCH, "no such process");
  EXPECT_TRUE(listener_->remove(second.pid()));
  server_.hang_up();
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].event.cookie, 1u);
  EXPECT_NE(seen[1].event.flags & KNELL_FLAG_RECOVERED, 0u);
}

TEST_F(DaemonListenerTest, ReconnectsAgainIfTheDaemonRefusesToAddAProcessAgain) {
  open_for_added();
  Child child;
  ASSERT_TRUE(listener_->add(child.pid(), 0, 1));
  server_.answer_next(Message::kAdd, EDQUOT, "too many added processes");
  server_.hang_up();
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u) << "a lost event for each reconnect";
  EXPECT_EQ(seen[1].event.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
  EXPECT_EQ(server_.adds(2).size(), 2u);
  server_.answer_next(Message::kAdd, EINVAL, "not a process");
  server_.hang_up();
  EXPECT_EQ(read(2).size(), 1u);
  EXPECT_EQ(error_.code, EINVAL);
}

// With no free descriptor it is unknown whether the process has ended; it is checked again later.
TEST_F(DaemonListenerTest, RecoversAnExitAfterDescriptorsWereUsedUp) {
  open_for_added();
  Child child;
  ASSERT_TRUE(listener_->add(child.pid(), 0, 1));
  server_.send({lost_of(KNELL_EVENT_EXIT)});
  child.die();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none_free{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none_free), 0);
  EXPECT_EQ(read(1).size(), 1u);
  const knell_event* none[1];
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*listener_->read(none, 1), 0u);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.wait_status, 0x700);
}

}  // namespace
}  // namespace knell::lib
