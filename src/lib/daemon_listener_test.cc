// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/daemon_listener.h"

#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "filter/predicate_for_test.h"
#include "lib/child_for_test.h"
#include "lib/daemon_listener_for_test.h"

namespace knell::lib {
namespace {

using filter::excludes;
using filter::Key;
using filter::wants;
using wire::Message;

TEST_F(DaemonListenerTest, SubscribesWithItsOptions) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  options.details = KNELL_DETAILS_NAMES;
  options.latency_ns = 5;
  options.args_bytes = 100;
  open(options);
  EXPECT_EQ(server_.subscribe(1), (filter::Subscription{.stream = filter::Stream::kProcesses,
                                                        .mask = KNELL_EVENT_NONZERO_EXIT,
                                                        .rule = filter::Rule::kReleased,
                                                        .details = KNELL_DETAILS_NAMES,
                                                        .latency_ns = 5,
                                                        .args_bytes = 100,
                                                        .predicates = {},
                                                        .only_added = false}));
}

TEST_F(DaemonListenerTest, CutsArgsToTheSizeThatWasAskedFor) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.args_bytes = 64;
  open(options);
  const auto exec_with = [](const std::string& args) {
    knell_event e = event(KNELL_EVENT_EXEC, 10);
    e.args = {args.data(), args.size()};
    return e;
  };
  const std::string fits(65, '\0'),
      longer = std::string(100, 'a') + '\0',
      second = std::string(63, 'b') + '\0' + std::string(9, 'c') + '\0';
  server_.send({exec_with(fits), exec_with(longer), exec_with(second)});
  const knell_event* events[3];
  pollfd readable{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&readable, 1, 20'000), 1);
  ASSERT_EQ(*listener_->read(events, 3), 3u);
  const auto args_of = [](const knell_event* e) { return std::string(e->args.data, e->args.size); };
  EXPECT_EQ(args_of(events[0]), fits);
  EXPECT_EQ(events[0]->flags & KNELL_FLAG_ARGS_TRUNCATED, 0u);
  EXPECT_EQ(args_of(events[1]), std::string(64, 'a') + '\0');
  EXPECT_NE(events[1]->flags & KNELL_FLAG_ARGS_TRUNCATED, 0u);
  EXPECT_EQ(args_of(events[2]), std::string(63, 'b') + '\0') << "no empty argument is added";
  EXPECT_NE(events[2]->flags & KNELL_FLAG_ARGS_TRUNCATED, 0u);
}

TEST_F(DaemonListenerTest, TheDefaultLatencyGrowsUnderLoad) {
  open();
  const filter::Subscription asked = server_.subscribe(1);
  EXPECT_EQ(filter::latency_of(asked),
            (filter::Latency{KNELL_LATENCY_DEFAULT_NS, KNELL_LATENCY_UNDER_LOAD_NS}));
}

TEST_F(DaemonListenerTest, NoLatencyStaysNone) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.latency_ns = KNELL_LATENCY_NONE;
  open(options);
  EXPECT_EQ(filter::latency_of(server_.subscribe(1)), filter::Latency());
}

TEST_F(DaemonListenerTest, ReturnsEventsInOrderWithSeqAndUserName) {
  open();
  server_.send({event(KNELL_EVENT_EXEC, 10), exit_of(11)});
  server_.send({exit_of(12)});
  const auto seen = read(3);
  ASSERT_EQ(seen.size(), 3u);
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(seen[i].event.seq, i + 1);
    EXPECT_EQ(seen[i].event.pid, static_cast<int32_t>(10 + i));
    EXPECT_EQ(seen[i].comm, "sh");
    EXPECT_EQ(seen[i].user, "root") << "the name of uid 0";
  }
  EXPECT_EQ(listener_->stats().received, 3u);
  EXPECT_EQ(listener_->stats().via, static_cast<uint32_t>(KNELL_VIA_BPF));
  EXPECT_EQ(listener_->stats().daemon, static_cast<uint32_t>(KNELL_DAEMON_HERE));
}

TEST_F(DaemonListenerTest, HasNoUserNamesWithStatusDetails) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.details = KNELL_DETAILS_STATUS;
  open(options);
  server_.send({exit_of(11)});
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].user, "");
}

TEST_F(DaemonListenerTest, ReturnsALargePacketInSeveralReads) {
  open();
  std::string out, buffer;
  wire::EventFrame frame(out);
  int32_t sent = 0;
  while (frame.add(0, wire::encode_event(buffer, exit_of(sent + 1)))) sent++;
  frame.finish();
  server_.send(out);
  server_.send(out);
  const auto seen = read(2 * static_cast<size_t>(sent));
  ASSERT_EQ(seen.size(), 2 * static_cast<size_t>(sent));
  EXPECT_EQ(seen.back().event.pid, sent);
  pollfd readable{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
  const knell_event* none[1];
  EXPECT_EQ(*listener_->read(none, 1), 0u);
  EXPECT_EQ(::poll(&readable, 1, 0), 0)
      << "all events were read, so the descriptor must not be readable";
}

TEST_F(DaemonListenerTest, IsReadableWhileEventsAreLeft) {
  open();
  server_.send({exit_of(10), exit_of(11)});
  const knell_event* one[1];
  pollfd readable{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&readable, 1, 20'000), 1);
  ASSERT_EQ(*listener_->read(one, 1), 1u);
  EXPECT_EQ(::poll(&readable, 1, 0), 1);
  ASSERT_EQ(*listener_->read(one, 1), 1u);
  EXPECT_EQ(one[0]->pid, 11);
}

TEST_F(DaemonListenerTest, SendsPredicatesAsValues) {
  open();
  ASSERT_TRUE(match("unit", "cron"));
  ASSERT_TRUE(match("uid", "0,!65534"));
  EXPECT_EQ(server_.subscribe(3).predicates,
            (std::vector{wants(Key::kUid, 0), excludes(wants(Key::kUid, 65534)),
                         wants(Key::kUnit, "cron")}));
}

TEST_F(DaemonListenerTest, ReportsAndDropsARefusedPredicate) {
  open();
  server_.answer_next(Message::kSubscribe, E2BIG, "too many filters");
  const auto refused = match("comm", "a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, E2BIG);
  EXPECT_EQ(refused.error().message(), "too many filters");
  ASSERT_TRUE(match("comm", "b"));
  EXPECT_EQ(server_.subscribe(3).predicates, (std::vector{wants(Key::kComm, "b")}));
  EXPECT_FALSE(match("comm", "")) << "not sent to the daemon";
  EXPECT_EQ(match("under", "2147483000").error().code, ESRCH);
}

TEST_F(DaemonListenerTest, AProcessUnderWhichOthersWereNamedMayHaveEnded) {
  open();
  Child ended, alive;
  const std::string both = std::to_string(ended.pid()) + "," + std::to_string(alive.pid());
  ASSERT_TRUE(match("under", both.c_str()));
  ended.reap();
  EXPECT_TRUE(listener_->set_events(KNELL_EVENT_EXIT));
  EXPECT_TRUE(match("comm", "sh"));
  EXPECT_EQ(match("under", std::to_string(ended.pid()).c_str()).error().code, ESRCH);
  const auto roots_of = [](const filter::Subscription& asked) {
    std::vector<int64_t> roots;
    for (const filter::Predicate& one : asked.predicates)
      if (one.key == Key::kUnder) roots.push_back(std::get<int64_t>(one.value));
    return roots;
  };
  EXPECT_EQ(roots_of(server_.subscribe(4)), roots_of(server_.subscribe(2)));
  server_.stop();
  server_.start();
  ASSERT_EQ(read(1).size(), 1u) << error_.message();
  const auto roots = roots_of(server_.subscribe(5));
  ASSERT_EQ(roots.size(), 2u) << "processes under a process that has ended do not match all";
  EXPECT_EQ(std::ranges::count(roots, ended.pid()), 0) << "another process may get this pid";
}

// The daemon would take the pid for that of the earlier process.
TEST_F(DaemonListenerTest, RefusesALaterProcessWithThePidOfARoot) {
  open();
  Child first;
  const std::string pid = std::to_string(first.pid());
  ASSERT_TRUE(match("under", pid.c_str()));
  ASSERT_TRUE(match("under", pid.c_str())) << "the same process";
  const auto later = first.reuse_pid();
  if (later == nullptr) GTEST_SKIP() << "no permission to choose a pid";
  const auto refused = match("under", pid.c_str());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EEXIST);
  EXPECT_TRUE(listener_->set_events(KNELL_EVENT_EXIT));
  EXPECT_EQ(server_.subscribe(4).predicates, (std::vector{wants(Key::kUnder, first.pid())}));
  server_.stop();
  server_.start();
  ASSERT_EQ(read(1).size(), 1u) << error_.message();
  EXPECT_TRUE(match("under", pid.c_str())) << "the daemon does not know the earlier one any more";
}

// A daemon of an older version does not know predicates as values.
TEST_F(DaemonListenerTest, NamesBothVersionsIfTheDaemonIsTooOld) {
  open();
  server_.answer_next(Message::kSubscribe, EOPNOTSUPP, "attribute 91 is unknown");
  const auto refused = match("comm", "a");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EOPNOTSUPP);
  EXPECT_NE(refused.error().message().find("libknell " KNELL_VERSION ": update the older one"),
            std::string::npos)
      << refused.error().message();
}

TEST_F(DaemonListenerTest, FailsToOpenIfTheSubscriptionIsRefused) {
  server_.answer_next(Message::kSubscribe, EUSERS, "256 listeners are all a user may have");
  const auto opened = DaemonListener::create(KNELL_OPTIONS_INIT, server_.path());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, EUSERS);
  EXPECT_EQ(opened.error().message(), "256 listeners are all a user may have");
}

TEST_F(DaemonListenerTest, KeepsEventsBeforeAnAckInOrder) {
  open();
  server_.send({exit_of(10)});
  server_.send_before_ack(Message::kSubscribe, FakeServer::frame_of({exit_of(11)}));
  server_.send_before_ack(Message::kSubscribe, FakeServer::frame_of({exit_of(12)}));
  ASSERT_TRUE(match("comm", "sh"));
  server_.send({exit_of(13)});
  const auto seen = read(4);
  ASSERT_EQ(seen.size(), 4u);
  for (int32_t i = 0; i < 4; i++) EXPECT_EQ(seen[static_cast<size_t>(i)].event.pid, 10 + i);
}

TEST_F(DaemonListenerTest, AppliesANewMaskToEventsSentBeforeItsAck) {
  open();
  server_.send_before_ack(Message::kSubscribe,
                          FakeServer::frame_of({event(KNELL_EVENT_EXEC, 10), exit_of(10, 0)}));
  ASSERT_TRUE(listener_->set_events(KNELL_EVENT_NONZERO_EXIT));
  server_.send({exit_of(11)});
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.pid, 11);
}

TEST_F(DaemonListenerTest, AppliesANewPredicateToEventsSentBeforeItsAck) {
  open();
  knell_event other = exit_of(10);
  other.comm = {"cat", 3};
  server_.send({other, exit_of(11)});
  ASSERT_TRUE(match("comm", "sh"));
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.pid, 11);
}

// Only the daemon can evaluate `under`, all others are evaluated here.
TEST_F(DaemonListenerTest, AppliesANewPredicateToEarlierEventsUnderAProcess) {
  open();
  ASSERT_TRUE(match("under", std::to_string(::getpid()).c_str()));
  ASSERT_TRUE(match("under", "!1"));
  const uint64_t now = system_clock().monotonic_ns();
  knell_event other = event(KNELL_EVENT_EXIT, 10, now), wanted = event(KNELL_EVENT_EXIT, 11, now);
  other.comm = {"cat", 3};
  server_.send({other, wanted});
  ASSERT_TRUE(match("comm", "sh"));
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.pid, 11);
}

TEST_F(DaemonListenerTest, ReconnectsAndReportsTheLoss) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_EXEC;
  open(options);
  ASSERT_TRUE(match("comm", "sh"));
  const uint64_t stamp = system_clock().monotonic_ns();
  server_.send({event(KNELL_EVENT_EXEC, 10, stamp)});
  ASSERT_EQ(read(1).size(), 1u);
  server_.stop();
  const knell_event* none[1];
  EXPECT_EQ(*listener_->read(none, 1), 0u);
  EXPECT_EQ(listener_->stats().daemon, static_cast<uint32_t>(KNELL_DAEMON_AWAY));
  server_.start();
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  const knell_event& lost = seen[0].event;
  EXPECT_EQ(lost.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
  EXPECT_EQ(lost.has & KNELL_HAS_COUNT, 0u);
  EXPECT_EQ(lost.lost_types, static_cast<uint32_t>(KNELL_EVENT_EXIT | KNELL_EVENT_EXEC));
  EXPECT_GE(lost.lost_from_ns, stamp);
  EXPECT_LT(lost.lost_from_ns, lost.lost_until_ns);
  EXPECT_EQ(server_.subscribe(3), server_.subscribe(2)) << "the same subscription as before";
  server_.send({exit_of(12)});
  EXPECT_EQ(read(1).size(), 1u);
  EXPECT_EQ(listener_->stats().daemon, static_cast<uint32_t>(KNELL_DAEMON_HERE));
}

// A loss that the daemon reported before it applied the current mask.
TEST_F(DaemonListenerTest, LossesOfOtherTypesAreNotReturned) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_EXEC;
  open(options);
  const auto lost = [](uint32_t types) {
    knell_event e = event(KNELL_EVENT_LOST, 0);
    e.has = KNELL_HAS_COUNT;
    e.lost_count = 3;
    e.lost_types = types;
    return e;
  };
  constexpr uint32_t kShown = KNELL_EVENT_EXIT | KNELL_EVENT_EXEC;
  server_.send({lost(KNELL_EVENT_FORK), lost(KNELL_EVENT_FORK | KNELL_EVENT_EXEC), lost(0)});
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].event.lost_types, static_cast<uint32_t>(KNELL_EVENT_EXEC));
  EXPECT_EQ(seen[0].event.seq, 1u);
  EXPECT_EQ(seen[1].event.lost_types, kShown) << "0 is any type";
  EXPECT_EQ(listener_->stats().lost, 6u);
}

TEST_F(DaemonListenerTest, RetriesIfTheDaemonIsFullAfterItsRestart) {
  open();
  for (const int error : {EUSERS, EMFILE}) {
    server_.refuse_next(error, "no room");
    server_.hang_up();
    const auto seen = read(1);
    ASSERT_EQ(seen.size(), 1u) << error_.message();
    EXPECT_EQ(seen[0].event.type, static_cast<uint32_t>(KNELL_EVENT_LOST))
        << "one gap, one lost event";
    server_.await_refusal();
  }
  server_.send({exit_of(10)});
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].event.pid, 10);
}

TEST_F(DaemonListenerTest, EndsIfTheDaemonRefusesForGoodAfterItsRestart) {
  open();
  server_.refuse_next(EACCES, "not you");
  server_.hang_up();
  EXPECT_EQ(read(1).size(), 0u);
  EXPECT_EQ(error_.code, EACCES);
}

TEST_F(DaemonListenerTest, SendsAMaskChangedWhileTheDaemonIsAway) {
  open();
  server_.stop();
  const knell_event* none[1];
  EXPECT_EQ(*listener_->read(none, 1), 0u);
  EXPECT_TRUE(listener_->set_events(KNELL_EVENT_FORK));
  server_.start();
  EXPECT_EQ(read(1).size(), 1u);
  EXPECT_EQ(server_.subscribe(2).mask, static_cast<uint32_t>(KNELL_EVENT_FORK));
}

TEST_F(DaemonListenerTest, SendsARequestAgainIfTheDaemonWentAway) {
  open();
  server_.stop();
  EXPECT_TRUE(listener_->set_events(KNELL_EVENT_FORK))
      << "the end of the connection was not read yet";
  server_.start();
  EXPECT_EQ(read(1).size(), 1u);
  EXPECT_EQ(server_.subscribe(2).mask, static_cast<uint32_t>(KNELL_EVENT_FORK));
}

TEST_F(DaemonListenerTest, ReadsEventsSentBeforeTheDaemonWentAway) {
  open();
  server_.send({exit_of(10)});
  server_.hang_up();
  const auto seen = read(2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].event.pid, 10);
  EXPECT_EQ(seen[1].event.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
}

TEST_F(DaemonListenerTest, ReportsABye) {
  open();
  server_.send({exit_of(10)});
  server_.send(wire::encode(wire::Bye{.error = EPERM, .text = "not you"}, 0));
  EXPECT_EQ(read(2).size(), 1u);
  EXPECT_EQ(error_.code, EPERM);
  EXPECT_NE(error_.message().find("not you"), std::string::npos);
  EXPECT_EQ(listener_->set_events(KNELL_EVENT_FORK).error().code, EPERM) << "later calls fail, too";
}

TEST_F(DaemonListenerTest, ReportsMalformedFramesAsAnError) {
  std::string broken = FakeServer::frame_of({exit_of(10)});
  broken[wire::kHeaderBytes + 12 + 4] = 1;  // the length of the first attribute of the event
  std::string truncated = FakeServer::frame_of({exit_of(10)});
  truncated.resize(truncated.size() - 4);
  for (const std::string& garbage : {std::string("garbage"), broken, truncated}) {
    open();
    server_.send(garbage);
    EXPECT_EQ(read(1).size(), 0u);
    EXPECT_EQ(error_.code, EBADMSG);
    listener_.reset();
  }
}

// A frame of a snapshot, of these processes of a user.
std::string processes_of(std::initializer_list<int32_t> pids, uint32_t uid = 0) {
  std::string out;
  wire::EventFrame frame(out, 0, Message::kProcesses);
  for (const int32_t pid : pids) {
    knell_event process = event(KNELL_EVENT_NONE, pid);
    process.via = KNELL_VIA_PROC;
    process.uid = uid;
    process.ppid = 1;
    KNELL_CHECK(frame.add(process));
  }
  frame.finish();
  return out;
}

class DaemonSnapshotTest : public DaemonListenerTest {
 protected:
  Result<int> snapshot(int stop_at = 0) {
    seen_.clear();
    stop_at_ = stop_at;
    const auto visit = [](const knell_event* event, void* context) {
      auto& test = *static_cast<DaemonSnapshotTest*>(context);
      const auto text = [](const knell_string& s) {
        return std::string(s.data == nullptr ? "" : s.data, s.size);
      };
      test.seen_.push_back({*event, text(event->comm), text(event->user)});
      return event->pid == test.stop_at_ ? 7 : 0;
    };
    return listener_->snapshot({.visit = visit, .context = this});
  }
  std::vector<int32_t> pids() const {
    std::vector<int32_t> all;
    for (const Seen& seen : seen_) all.push_back(seen.event.pid);
    return all;
  }
  std::vector<Seen> seen_;
  int stop_at_ = 0;
};

TEST_F(DaemonSnapshotTest, VisitsWhatTheDaemonLists) {
  open();
  // An empty frame: the daemon is still working
  server_.send_before_ack(Message::kSnapshot, processes_of({}));
  server_.send_before_ack(Message::kSnapshot, processes_of({1, 5}));
  server_.send_before_ack(Message::kSnapshot, FakeServer::frame_of({event(KNELL_EVENT_EXEC, 9)}));
  server_.send_before_ack(Message::kSnapshot, processes_of({7}));
  ASSERT_EQ(snapshot().value_or(-1), 0);
  EXPECT_EQ(pids(), (std::vector<int32_t>{1, 5, 7}));
  EXPECT_EQ(seen_[0].comm, "sh");
  EXPECT_EQ(seen_[0].user, "root");
  EXPECT_NE(seen_[0].event.has & KNELL_HAS_PPID, 0u);
  EXPECT_EQ(seen_[0].event.via, uint32_t{KNELL_VIA_PROC});
  const auto events = read(1);
  ASSERT_EQ(events.size(), 1u) << "the event that was received meanwhile";
  EXPECT_EQ(events[0].event.pid, 9);
}

TEST_F(DaemonSnapshotTest, TheVisitorMayEndIt) {
  open();
  for (int i = 0; i < 2; ++i) {
    server_.send_before_ack(Message::kSnapshot, processes_of({1, 5, 7}));
    EXPECT_EQ(snapshot(5).value_or(-1), 7);
    EXPECT_EQ(pids(), (std::vector<int32_t>{1, 5}));
  }
}

TEST_F(DaemonSnapshotTest, ARefusalIsAnError) {
  open();
  server_.answer_next(Message::kSnapshot, EDQUOT, "the user's share is used up");
  const auto refused = snapshot();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EDQUOT);
  EXPECT_EQ(snapshot().value_or(-1), 0) << "the connection still works";
}

TEST_F(DaemonSnapshotTest, MalformedProcessesAreAnError) {
  open();
  const std::string events = FakeServer::frame_of({event(KNELL_EVENT_EXEC, 9)});
  std::string out;
  wire::FrameWriter writer(out, Message::kProcesses, 0);
  writer.out().append(events.substr(wire::kHeaderBytes));
  writer.finish();
  server_.send_before_ack(Message::kSnapshot, out);
  const auto broken = snapshot();
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, EBADMSG);
}

// With an older daemon, and without a daemon, the processes are read from /proc.
TEST_F(DaemonSnapshotTest, ReadsProcWithoutADaemonThatKnowsSnapshots) {
  open();
  ASSERT_TRUE(match("pid", std::to_string(::getpid()).c_str()));
  server_.answer_next(Message::kSnapshot, EOPNOTSUPP, "message 26 is unknown to this knelld");
  ASSERT_EQ(snapshot().value_or(-1), 0);
  EXPECT_EQ(pids(), std::vector<int32_t>{::getpid()});
  server_.stop();
  ASSERT_EQ(snapshot().value_or(-1), 0);
  EXPECT_EQ(pids(), std::vector<int32_t>{::getpid()});
  ASSERT_EQ(snapshot().value_or(-1), 0) << "while there is no daemon";
  EXPECT_EQ(pids(), std::vector<int32_t>{::getpid()});
}

TEST_F(DaemonSnapshotTest, ReadsFromProcOnlyWhatItMaySee) {
  server_.hello.scope = {
      .flags = wire::Scope::kOwnUid, .uid = ::getuid() + 1, .namespace_depth = 0, .reserved = 0};
  open();
  ASSERT_TRUE(match("pid", std::to_string(::getpid()).c_str()));
  server_.answer_next(Message::kSnapshot, EOPNOTSUPP, "");
  ASSERT_EQ(snapshot().value_or(-1), 0);
  EXPECT_TRUE(pids().empty());
}

TEST_F(DaemonListenerTest, ReportsItsScope) {
  server_.hello.scope = {
      .flags = wire::Scope::kOwnUid, .uid = 65534, .namespace_depth = 0, .reserved = 0};
  server_.hello.limits.queue_bytes = 4096;
  open();
  const knell_stats stats = listener_->stats();
  EXPECT_EQ(stats.scope, static_cast<uint32_t>(KNELL_SCOPE_USER));
  EXPECT_EQ(stats.scope_uid, 65534u);
  EXPECT_EQ(stats.buffer_bytes, 4096u);
  EXPECT_EQ(listener_->origin().boot_id, server_.hello.origin.boot_id);
}

// -------------------------------------------------------------------------------------- the C ABI

class ThroughTheDaemon : public testing::Test {
 protected:
  static uint32_t daemon_of(uint32_t via) {
    knell_options options = KNELL_OPTIONS_INIT;
    options.via = via;
    knell_listener* k = nullptr;
    if (knell_open(&options, &k) < 0) return 99;
    knell_stats stats{};
    stats.size = sizeof stats;
    EXPECT_EQ(knell_get_stats(k, &stats), 0);
    knell_close(k);
    return stats.daemon;
  }
  static void use(const char* path) { ::setenv("KNELL_SOCKET", path, 1); }
  ~ThroughTheDaemon() override { ::unsetenv("KNELL_SOCKET"); }
};

TEST_F(ThroughTheDaemon, AutoUsesARunningDaemon) {
  FakeServer server;
  use(server.path().c_str());
  EXPECT_EQ(daemon_of(KNELL_VIA_AUTO), static_cast<uint32_t>(KNELL_DAEMON_HERE));
  EXPECT_EQ(daemon_of(KNELL_VIA_DAEMON), static_cast<uint32_t>(KNELL_DAEMON_HERE));
  EXPECT_EQ(daemon_of(KNELL_VIA_PIDFD), static_cast<uint32_t>(KNELL_DAEMON_NONE));
}

TEST_F(ThroughTheDaemon, ViaDaemonFailsWithoutADaemon) {
  use("/nowhere/knell.sock");
  knell_options options = KNELL_OPTIONS_INIT;
  options.via = KNELL_VIA_DAEMON;
  knell_listener* k = nullptr;
  EXPECT_EQ(knell_open(&options, &k), -ENOENT);
  EXPECT_STREQ(knell_explain(), "knelld is not running: there is no /nowhere/knell.sock");
  use("");
  EXPECT_EQ(knell_open(&options, &k), -ENOENT);
  EXPECT_NE(std::string(knell_explain()).find("KNELL_SOCKET is empty"), std::string::npos);
}

TEST_F(ThroughTheDaemon, StatusFillsTheBufferLikeSnprintf) {
  FakeServer server;
  use(server.path().c_str());
  char text[64];
  const std::string whole = "{\"version\":\"fake\"}";
  EXPECT_EQ(knell_status(text, sizeof text), static_cast<ssize_t>(whole.size()));
  EXPECT_EQ(text, whole);
  EXPECT_EQ(knell_status(nullptr, 0), static_cast<ssize_t>(whole.size()));
  use("");
  EXPECT_EQ(knell_status(text, sizeof text), -ENOENT);
}

}  // namespace
}  // namespace knell::lib
