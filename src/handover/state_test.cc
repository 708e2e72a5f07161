// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "handover/state.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

namespace knell::handover {
namespace {

constexpr uint32_t kText = 1, kSent = 2, kReceived = 3;
constexpr size_t kBytes = size_t{8} << 20;

State::Identity here() { return {.boot = "boot", .pid_ns = 7, .build = 1}; }

State fresh() {
  auto made = State::create(here(), kBytes);
  EXPECT_TRUE(made);
  return *std::move(made);
}

// What another process would take over at this moment.
Result<State> taken_over(const State& state, const State::Identity& identity = here()) {
  return State::adopt(UniqueFd(::fcntl(state.fd(), F_DUPFD_CLOEXEC, 3)), identity, state.room());
}

std::vector<std::string> texts(const State& state) {
  std::vector<std::string> all;
  EXPECT_TRUE(state.read([&](uint32_t kind, std::string_view payload) {
    if (kind == kText) all.emplace_back(payload);
  }));
  return all;
}

std::pair<UniqueFd, UniqueFd> sockets() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

TEST(State, RecordsTakeEffectTogether) {
  State state = fresh();
  state.append(kText, "a");
  state.commit();
  state.append(kText, "b");
  state.append(kText, "c");
  EXPECT_EQ(texts(*taken_over(state)), std::vector<std::string>{"a"});
  state.commit();
  EXPECT_EQ(texts(*taken_over(state)), (std::vector<std::string>{"a", "b", "c"}));
}

TEST(State, ASnapshotReplacesTheLogWhenItIsCommitted) {
  State state = fresh();
  state.append(kText, "old");
  state.commit();
  const uint64_t epoch = state.epoch();
  state.begin_snapshot();
  EXPECT_NE(state.epoch(), epoch);
  state.append(kText, "new");
  EXPECT_EQ(texts(*taken_over(state)), std::vector<std::string>{"old"});
  state.commit();
  EXPECT_EQ(texts(*taken_over(state)), std::vector<std::string>{"new"});
}

TEST(State, WantsASnapshotOfALongLog) {
  State state = fresh();
  const std::string text(1000, 'x');
  for (int i = 0; i < 2000; ++i) state.append(kText, text);
  state.commit();
  EXPECT_TRUE(state.wants_snapshot());
  state.begin_snapshot();
  state.append(kText, "all");
  state.commit();
  EXPECT_FALSE(state.wants_snapshot());
}

TEST(State, OnlyThatOfTheSameMachineAndVersionIsTakenOver) {
  State state = fresh();
  EXPECT_TRUE(taken_over(state));
  for (const State::Identity& other : {State::Identity{.boot = "other", .pid_ns = 7, .build = 1},
                                       State::Identity{.boot = "boot", .pid_ns = 8, .build = 1},
                                       State::Identity{.boot = "boot", .pid_ns = 7, .build = 2}}) {
    const auto taken = taken_over(state, other);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ESTALE);
  }
  auto [one, two] = sockets();
  EXPECT_FALSE(State::adopt(std::move(one), here(), kBytes));
}

TEST(State, IsNotTakenOverWhenARecordHadNoRoom) {
  State state = fresh();
  const std::string text(kBytes, 'x');
  state.append(kText, text);
  state.commit();
  EXPECT_FALSE(taken_over(state));
}

void write_snapshot(State& state, size_t bytes) {
  state.begin_snapshot();
  state.append(kText, std::string(bytes, 's'));
  state.commit();
}

TEST(State, WantsASnapshotBeforeTheLogIsFull) {
  auto made = State::create(here(), size_t{4} << 20);
  ASSERT_TRUE(made);
  State state = *std::move(made);
  constexpr size_t kSnapshot = 3 << 19;
  write_snapshot(state, kSnapshot);
  EXPECT_FALSE(state.wants_snapshot());
  const std::string text(1000, 'x');
  int snapshots = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (state.wants_snapshot()) {
      write_snapshot(state, kSnapshot);
      ++snapshots;
    }
    state.append(kText, text);
    state.commit();
  }
  EXPECT_FALSE(state.is_broken());
  EXPECT_TRUE(taken_over(state));
  EXPECT_LT(snapshots, 50);  // not one for each record
}

TEST(State, IsTakenOverAgainAfterASnapshotThatFits) {
  State state = fresh();
  const std::string text(kBytes / 2, 'x');
  for (int i = 0; i < 3; ++i) state.append(kText, text);
  EXPECT_TRUE(state.has_uncommitted());
  state.commit();
  EXPECT_FALSE(state.has_uncommitted());
  EXPECT_TRUE(state.is_broken());
  EXPECT_TRUE(state.wants_snapshot());
  // A snapshot that does not fit either is not tried again immediately.
  write_snapshot(state, kBytes);
  EXPECT_TRUE(state.is_broken());
  EXPECT_FALSE(state.wants_snapshot());
  state.append(kText, "a");
  EXPECT_TRUE(state.has_uncommitted());
  state.commit();
  EXPECT_FALSE(taken_over(state));
  for (int i = 0; i < 3; ++i) state.append(kText, text);
  state.commit();
  EXPECT_TRUE(state.wants_snapshot());
  state.begin_snapshot();
  state.append(kText, "all");
  state.commit();
  EXPECT_FALSE(state.is_broken());
  EXPECT_EQ(texts(*taken_over(state)), std::vector<std::string>{"all"});
}

// knelld was configured to use more memory.
TEST(State, IsEnlargedWhenItIsTakenOver) {
  for (const int snapshots : {0, 1, 2}) {
    State state = fresh();
    for (int i = 0; i < snapshots; ++i) {
      state.begin_snapshot();
      state.append(kText, "snapshot");
      state.commit();
    }
    state.append(kText, std::string(kBytes / 2, 'x'));
    state.commit();
    const std::vector<std::string> before = texts(state);
    auto adopted =
        State::adopt(UniqueFd(::fcntl(state.fd(), F_DUPFD_CLOEXEC, 3)), here(), 2 * kBytes);
    ASSERT_TRUE(adopted);
    State next = *std::move(adopted);
    EXPECT_EQ(next.room(), 2 * kBytes);
    EXPECT_EQ(texts(next), before);
    EXPECT_EQ(texts(*taken_over(next)), before);
    next.begin_snapshot();
    next.append(kText, std::string(kBytes + kBytes / 2, 'y'));
    next.commit();
    next.append(kText, std::string(kBytes / 4, 'z'));
    next.commit();
    EXPECT_FALSE(next.is_broken());
    EXPECT_EQ(texts(*taken_over(next)), texts(next));
    EXPECT_EQ(texts(next).size(), 2U);
  }
}

// The next process reads the log up to before the send: as if this one had been killed in it.
TEST(State, KnowsWhatWasSentWithoutARecord) {
  State state = fresh();
  auto [one, two] = sockets();
  const int small = 1;
  ASSERT_EQ(::setsockopt(one.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  std::string text(1000, 'x');
  std::vector<iovec> packets(64, iovec{text.data(), text.size()});
  const std::vector<uint32_t> items(64, 3);
  const pid_t child = ::fork();
  if (child == 0) {
    state.kill_in_send_for_testing();
    (void)state.send(one.get(), 42, kSent, packets, items);
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  uint32_t arrived = 0;
  std::array<char, 2000> buffer{};
  while (::recv(two.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) ++arrived;
  ASSERT_GT(arrived, 0U);
  ASSERT_LT(arrived, 64U);
  const State next = *taken_over(state);
  const auto sent = next.unrecorded(0);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->owner, 42U);
  EXPECT_EQ(sent->packets, arrived);
  EXPECT_EQ(sent->items, 3 * arrived);
}

TEST(State, RecordsWhatItSent) {
  State state = fresh();
  auto [one, two] = sockets();
  std::string text = "abc";
  std::array<iovec, 2> packets{iovec{text.data(), 1}, iovec{text.data(), 3}};
  const std::array<uint32_t, 2> items{5, 7};
  ASSERT_EQ(state.send(one.get(), 42, kSent, packets, items), 2);
  State::SentRecord sent{};
  ASSERT_TRUE(state.read([&](uint32_t kind, std::string_view payload) {
    ASSERT_EQ(kind, kSent);
    payload.copy(reinterpret_cast<char*>(&sent), sizeof sent);
  }));
  EXPECT_EQ(sent.owner, 42U);
  EXPECT_EQ(sent.packets, 2U);
  EXPECT_EQ(sent.items, 12U);
  EXPECT_FALSE(state.unrecorded(sent.serial));
}

TEST(State, APacketIsUnservedUntilItIsRecorded) {
  State state = fresh();
  auto [one, two] = sockets();
  ASSERT_EQ(::send(one.get(), "request", 7, 0), 7);
  std::string_view packet;
  ASSERT_EQ(state.receive(two.get(), 9, packet), 7);
  EXPECT_EQ(packet, "request");
  const State next = *taken_over(state);
  const auto unserved = next.unserved(0);
  ASSERT_TRUE(unserved);
  EXPECT_EQ(unserved->owner, 9U);
  EXPECT_EQ(unserved->packet, "request");
  state.received(kReceived);
  state.commit();
  State::ReceivedRecord last{};
  const State after = *taken_over(state);
  ASSERT_TRUE(after.read([&](uint32_t, std::string_view payload) {
    payload.copy(reinterpret_cast<char*>(&last), sizeof last);
  }));
  EXPECT_FALSE(after.unserved(last.serial));
}

}  // namespace
}  // namespace knell::handover
