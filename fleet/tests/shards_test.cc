// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// A fleet whose events are distributed over several streams (shards).
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json_value.h"
#include "fleet/event_reader.h"
#include "fleet/interest_store.h"
#include "fleet/repeats.h"
#include "fleet/streams.h"
#include "fleet/subject.h"
#include "fleet/tests/nats_server.h"
#include "fleet/tests/simulated_host.h"

namespace knell::fleet {
namespace {

using namespace std::chrono_literals;
using From = StreamReader::From;

std::unique_ptr<Connection> connect(const std::string& url) {
  ConnectOptions to;
  to.servers = url;
  auto connection = Connection::create(to);
  if (!connection) ADD_FAILURE() << connection.error().message();
  return connection ? *std::move(connection) : nullptr;
}

// Repeats a request that timed out, since the server may be slow on a busy machine.
Result<std::vector<std::string>> create_patiently(Connection& connection,
                                                  const StreamLimits& limits) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto created = create_streams(connection, limits);
    if (created || created.error().code != ETIMEDOUT || std::chrono::steady_clock::now() > deadline)
      return created;
  }
}

void ask_for_exits(Connection& connection) {
  const auto asked = change_interest(connection, [](FleetInterest& interest) {
    const int64_t now = system_clock().realtime_ns() / 1'000'000;
    return put_selector(interest, {"me", "*", KNELL_EVENT_EXIT, {}, now + 3'600'000}, now);
  });
  ASSERT_TRUE(asked) << asked.error().message();
}

std::vector<int> numbers_to(int last) {
  std::vector<int> numbers(static_cast<size_t>(last));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

// The pids of the events of each host, in order, without repeats.
class Seen {
 public:
  void add(const Message& message) {
    for (size_t at = 0; at < message.data.size();) {
      const size_t end = message.data.find('\n', at);
      const auto value = parse_json_object(message.data.substr(at, end - at));
      at = end + 1;
      ASSERT_TRUE(value);
      EXPECT_EQ((*value)["host"].text(), host_of_event(message.subject));
      if (repeats_.is_new(event_key(*value)))
        pids_[(*value)["host"].text()].push_back(static_cast<int>((*value)["pid"].count()));
    }
  }
  const std::vector<int>& of(const std::string& host) { return pids_[host]; }

 private:
  Repeats repeats_{1'000'000};
  std::map<std::string, std::vector<int>> pids_;
};

// Messages in the stream of a shard.
size_t messages_of(Connection& connection, uint32_t shard) {
  const auto reader = StreamReader::create(connection, event_stream(shard),
                                           subjects_of_hosts(shard, "*"), From::kOldest);
  EXPECT_TRUE(reader) << reader.error().message();
  size_t count = 0;
  while (reader && !(*reader)->at_end())
    if ((*reader)->next(10s)) ++count;
  return count;
}

class FleetShards : public testing::Test {
 protected:
  void SetUp() override {
    if (!NatsServer::installed()) GTEST_SKIP() << "nats-server is not installed";
  }
};

TEST_F(FleetShards, EachHostHasOneAndAReaderReadsAll) {
  const NatsServer server;
  const auto connection = connect(server.url());
  ASSERT_TRUE(create_patiently(*connection, {.shards = 3}));
  ASSERT_NO_FATAL_FAILURE(ask_for_exits(*connection));
  auto reader = EventReader::create(*connection, "*", From::kNow);
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_EQ((*reader)->shards(), 3U);
  const std::vector<std::string> names{"h1", "h2", "h3"};
  EXPECT_EQ(shard_of("h1", 3), 0U);
  EXPECT_EQ(shard_of("h2", 3), 2U);
  EXPECT_EQ(shard_of("h3", 3), 1U);
  for (const std::string& name : names) {
    Host host(server.url(), forwarder_options(name));
    host.stream.produce(200);
    ASSERT_TRUE(host.run_until([&] { return host.forwarder->presence().events == 200; })) << name;
  }
  Seen seen;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::ranges::any_of(names, [&](const auto& name) { return seen.of(name).size() < 200; })) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    if (const auto message = (*reader)->next(100ms)) {
      ASSERT_NO_FATAL_FAILURE(seen.add(*message));
    }
  }
  for (const std::string& name : names) EXPECT_EQ(seen.of(name), numbers_to(200)) << name;
  for (uint32_t shard = 0; shard < 3; ++shard) EXPECT_EQ(messages_of(*connection, shard), 20U);

  // A reader of one host reads only the shard of this host.
  auto one = EventReader::create(*connection, "h2", From::kOldest);
  ASSERT_TRUE(one) << one.error().message();
  Seen of_one;
  while (of_one.of("h2").size() < 200) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    if (const auto message = (*one)->next(100ms)) {
      ASSERT_NO_FATAL_FAILURE(of_one.add(*message));
    }
  }
  EXPECT_EQ(of_one.of("h2"), numbers_to(200));
  EXPECT_TRUE(of_one.of("h1").empty());
}

TEST_F(FleetShards, TheirNumberCanGrowWhileHostsSend) {
  const NatsServer server;
  const auto connection = connect(server.url());
  ASSERT_TRUE(create_patiently(*connection, {}));
  ASSERT_NO_FATAL_FAILURE(ask_for_exits(*connection));
  auto reader = EventReader::create(*connection, "*", From::kNow);
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_EQ((*reader)->shards(), 1U);
  ASSERT_EQ(shard_of("h2", 3), 2U);
  Host host(server.url(), forwarder_options("h2"));
  host.stream.produce(100);
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->presence().events == 100; }));

  const auto grown = create_patiently(*connection, {.shards = 3});
  ASSERT_TRUE(grown) << grown.error().message();
  EXPECT_EQ(stored_interest(*connection)->selectors.size(), 1U);  // the interest was kept
  host.stream.produce(100);
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->presence().events == 200; }));
  // `init` sends a message to the hosts; without it, a host reads the number of shards only after
  // minutes.
  ASSERT_TRUE(host.run_until([&] {
    host.stream.produce(10);
    return messages_of(*connection, 2) > 0;
  }));
  EXPECT_EQ(host.forwarder->outbox().resends(), 0U);

  ASSERT_TRUE((*reader)->add_new_shards());
  EXPECT_EQ((*reader)->shards(), 3U);
  Seen seen;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (seen.of("h2").size() < host.forwarder->presence().events) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    if (const auto message = (*reader)->next(100ms)) {
      ASSERT_NO_FATAL_FAILURE(seen.add(*message));
    }
  }
  std::vector<int> pids = seen.of("h2");
  std::ranges::sort(pids);  // the events come from two streams
  EXPECT_EQ(pids, numbers_to(static_cast<int>(pids.size())));

  // The number of shards cannot be reduced, and init without a number keeps it.
  const auto fewer = create_patiently(*connection, {.shards = 2});
  ASSERT_FALSE(fewer);
  EXPECT_EQ(fewer.error().code, EINVAL);
  const auto again = create_patiently(*connection, {});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*count_shards(*connection), 3U);
  EXPECT_EQ(stored_interest(*connection)->shards, 3U);
}

using FleetLag = FleetShards;

TEST_F(FleetLag, IsTheAgeOfTheOldestUnsentEvent) {
  NatsServer server;
  {
    const auto connection = connect(server.url());
    ASSERT_TRUE(create_patiently(*connection, {}));
    ASSERT_NO_FATAL_FAILURE(ask_for_exits(*connection));
  }
  Host host(server.url());
  const Presence& presence = host.forwarder->presence();
  ASSERT_TRUE(host.run_until([&] { return host.stream.wanted().events != 0; }));
  server.kill(SIGKILL);
  ASSERT_TRUE(host.run_until([&] { return !host.connection->connected(); }));
  host.stream.produce(45);
  ASSERT_TRUE(host.run_until([&] { return presence.unsent == 45 && presence.lag_ms >= 100; }));
  EXPECT_EQ(presence.unacked, 45U);
  server.start();
  ASSERT_TRUE(host.run_until([&] { return presence.unsent == 0; }));
  EXPECT_EQ(presence.lag_ms, 0U);
  EXPECT_EQ(presence.unacked, 45U);  // acknowledged events are kept until `hold` has passed
}

}  // namespace
}  // namespace knell::fleet
