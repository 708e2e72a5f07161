// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// Queries for the past events of hosts over a real nats-server.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fleet/history_reader.h"
#include "fleet/interest_store.h"
#include "fleet/past_for_test.h"
#include "fleet/stream_reader.h"
#include "fleet/streams.h"
#include "fleet/subject.h"
#include "fleet/tests/nats_server.h"
#include "fleet/tests/simulated_host.h"

namespace knell::fleet {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

using More = std::function<void(ConnectOptions&)>;

std::unique_ptr<Connection> connect(const std::string& url, const More& more = {}) {
  ConnectOptions to;
  to.servers = url;
  if (more) more(to);
  auto connection = Connection::create(to);
  if (!connection) ADD_FAILURE() << connection.error().message();
  return connection ? *std::move(connection) : nullptr;
}

HistoryService::Limits quick() {
  HistoryService::Limits limits;
  limits.bytes_per_second = UINT64_MAX;
  return limits;
}

// A host with stored events, and a forwarder that answers queries for them.
struct HostWithPast {
  HostWithPast(const std::string& url, const std::string& name, int events, uint64_t offset_ns = 0,
               const More& more = {}, const HistoryService::Open& open = {})
      : past(events, offset_ns),
        service(
            *HistoryService::create({name, KNELL_EVENT_ALL}, quick(), open ? open : past.open())),
        host(url, options(name), more) {}
  ForwarderOptions options(const std::string& name) const {
    ForwarderOptions options = forwarder_options(name);
    options.history = service.get();
    return options;
  }

  PastForTest past;
  std::unique_ptr<HistoryService> service;
  Host host;
};

HistoryRequest everything() {
  HistoryRequest request;
  request.selector.events = KNELL_EVENT_ALL;
  return request;
}

struct Shown {
  std::string host;
  int pid;
};

// Steps the reader and the hosts until `done`; returns the events in their order.
std::vector<Shown> read(HistoryReader& reader, const Connection& connection,
                        const std::vector<Host*>& hosts,
                        const std::function<bool(const std::vector<Shown>&)>& done = {}) {
  std::vector<Shown> out;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (done ? !done(out) : !reader.is_over()) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "the hosts do not answer";
      break;
    }
    for (Host* host : hosts) host->forwarder->step();
    reader.step();
    while (auto event = reader.next()) out.push_back({event->host, event->event.get().pid});
    pollfd news{connection.wake_fd(), POLLIN, 0};
    (void)::poll(&news, 1, 2);
  }
  return out;
}

std::vector<int> pids_of(const std::vector<Shown>& shown, const std::string& host) {
  std::vector<int> out;
  for (const Shown& each : shown)
    if (each.host == host) out.push_back(each.pid);
  return out;
}

std::vector<int> numbers_to(int last) {
  std::vector<int> numbers(static_cast<size_t>(last));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

class FleetHistory : public testing::Test {
 protected:
  void SetUp() override {
    if (!NatsServer::installed()) GTEST_SKIP() << "nats-server is not installed";
  }
};

TEST_F(FleetHistory, HostsAreMergedByTime) {
  const NatsServer server;
  HostWithPast a(server.url(), "a", 1000), b(server.url(), "b", 700, 500'000'000);
  const auto connection = connect(server.url());
  HistoryReader reader(*connection, system_clock(), {{"a", false}, {"b", false}}, everything(),
                       kPatience);
  ASSERT_TRUE(reader.start());
  const auto shown = read(reader, *connection, {&a.host, &b.host});
  EXPECT_EQ(pids_of(shown, "a"), numbers_to(1000));
  EXPECT_EQ(pids_of(shown, "b"), numbers_to(700));
  ASSERT_EQ(shown.size(), 1700U);
  for (size_t i = 0; i < 1400; ++i) EXPECT_EQ(shown[i].host, i % 2 == 0 ? "a" : "b") << i;
  EXPECT_TRUE(reader.missing().empty());
  EXPECT_EQ(a.past.asked().size(), 1U);
}

TEST_F(FleetHistory, HostsWithoutAnAnswerAreNamed) {
  const NatsServer server;
  HostWithPast a(server.url(), "a", 10);
  // This host is connected, but its forwarder is not driven, so it does not answer.
  HostWithPast stopped(server.url(), "stopped", 10);
  const auto connection = connect(server.url());
  HistoryReader reader(*connection, system_clock(),
                       {{"a", false}, {"gone", true}, {"late", false}, {"stopped", false}},
                       everything(), 2s);
  ASSERT_TRUE(reader.start());
  const auto shown = read(reader, *connection, {&a.host});
  EXPECT_EQ(pids_of(shown, "a"), numbers_to(10));
  EXPECT_EQ(reader.missing(),
            (HistoryReader::Notes{{"no answer: no forwarder runs there", {"gone"}},
                                  {"no answer within 2s", {"late", "stopped"}}}));
}

// The server is killed in the middle of a query: the reader and the hosts lose their connections
// and the messages in flight.
TEST_F(FleetHistory, AServerThatRestartsLosesNothing) {
  NatsServer server;
  HostWithPast a(server.url(), "a", 3000), b(server.url(), "b", 3000);
  const auto connection = connect(server.url());
  HistoryReader reader(*connection, system_clock(), {{"a", false}, {"b", false}}, everything(),
                       kPatience);
  ASSERT_TRUE(reader.start());
  std::vector<Shown> shown;
  for (int kills = 0; kills < 3; ++kills) {
    const auto part = read(reader, *connection, {&a.host, &b.host},
                           [](const auto& events) { return events.size() >= 300; });
    shown.insert(shown.end(), part.begin(), part.end());
    server.kill(SIGKILL);
    server.start();
  }
  EXPECT_FALSE(reader.is_over());
  const auto rest = read(reader, *connection, {&a.host, &b.host});
  shown.insert(shown.end(), rest.begin(), rest.end());
  EXPECT_EQ(pids_of(shown, "a"), numbers_to(3000));
  EXPECT_EQ(pids_of(shown, "b"), numbers_to(3000));
  EXPECT_TRUE(reader.missing().empty());
}

TEST_F(FleetHistory, AForwarderThatRestartsIsNamed) {
  const NatsServer server;
  auto a = std::make_unique<HostWithPast>(server.url(), "a", 3000);
  const auto connection = connect(server.url());
  HistoryReader reader(*connection, system_clock(), {{"a", false}}, everything(), kPatience);
  ASSERT_TRUE(reader.start());
  auto shown =
      read(reader, *connection, {&a->host}, [](const auto& events) { return !events.empty(); });
  a = std::make_unique<HostWithPast>(server.url(), "a", 3000);
  const auto rest = read(reader, *connection, {&a->host});
  shown.insert(shown.end(), rest.begin(), rest.end());
  EXPECT_LT(shown.size(), 3000U);
  EXPECT_EQ(pids_of(shown, "a"), numbers_to(static_cast<int>(shown.size())));
  ASSERT_EQ(reader.missing().size(), 1U);
  EXPECT_TRUE(reader.missing().begin()->first.contains("restarted"));
}

TEST_F(FleetHistory, ForwardingGoesOnWhileTheJournalIsRead) {
  const NatsServer server;
  const auto connection = connect(server.url());
  ASSERT_TRUE(create_streams(*connection, {}));
  std::promise<void> opening, go_on;
  PastForTest past(1);
  HostWithPast a(server.url(), "a", 1, 0, {},
                 [&, open = past.open()](const HistoryOptions& options, std::error_code& error) {
                   opening.set_value();
                   go_on.get_future().wait();
                   return open(options, error);
                 });
  HistoryReader reader(*connection, system_clock(), {{"a", false}}, everything(), kPatience);
  ASSERT_TRUE(reader.start());
  auto opened = opening.get_future();
  ASSERT_TRUE(a.host.run_until([&] { return opened.wait_for(0s) == std::future_status::ready; }));
  a.host.stream.produce(500);
  ASSERT_TRUE(change_interest(*connection, [](FleetInterest& interest) {
    const int64_t now = system_clock().realtime_ns() / 1'000'000;
    return put_selector(interest, {"me", "*", KNELL_EVENT_EXIT, {}, now + 3'600'000}, now);
  }));
  EXPECT_TRUE(a.host.run_until([&] { return a.host.forwarder->presence().events == 500; }));
  go_on.set_value();
  EXPECT_EQ(read(reader, *connection, {&a.host}).size(), 1U);
}

// The permissions of docs/fleet.md.
constexpr const char* kKeyOfA = "UDM5BRQUZC52HDYAGEPXQ2K6A5SZ53NBUU7OU52LXZOINAZ56D6HUOIR";
constexpr const char* kSeedOfA = "SUABRBPIOSU6GKBZ6HW4JYIMYO5SZX4IBQNP7DGIREJJBKA3HNADIB3WEI";
constexpr const char* kKeyOfReader = "UDAH6PY3B7YMBG6SJQWDU5W4VCFP5RYD22X6JGDP5EBPCRNGY33GHEJ6";
constexpr const char* kSeedOfReader = "SUAOIKXAS4EYPCBXDELOFX5S743YT6TLYDTOCOH2EWRIYODWADJQHUD5BU";

std::string users() {
  return std::string("authorization { users: [\n  {nkey: ") + kKeyOfReader +
         R"(, permissions: {
    publish: ["$JS.API.>", "$JS.FC.>", "knell.ctl.all", "$KV.knell_interest._all", "knell.rq.*"]
    subscribe: ["_INBOX.>", "knell.rp.>"]
  }}
  {nkey: )" +
         kKeyOfA +
         R"(, permissions: {
    publish: ["knell.ev.*.a.>", "knell.hb.a", "knell.rp.a.*",
              "$JS.API.STREAM.MSG.GET.KV_knell_interest"]
    subscribe: ["knell.ctl.all", "knell.hb.a", "knell.rq.a", "_INBOX_a.>"]
  }}
]}
)";
}

More with(const NatsServer& server, const char* key, const char* seed) {
  const std::string file = server.folder() + "/" + key;
  std::ofstream(file) << seed << "\n";
  return [=](ConnectOptions& to) {
    to.nkey = key;
    to.nkey_seed = file;
  };
}

// The server stops to send some MiB of messages if the reader may not answer its flow control.
TEST_F(FleetHistory, AReaderReadsMoreThanTheWindowOfTheServer) {
  constexpr int kMessages = 256;
  const NatsServer server(users());
  const auto reader = connect(server.url(), with(server, kKeyOfReader, kSeedOfReader));
  ASSERT_TRUE(create_streams(*reader, {}));
  const auto host = connect(server.url(), [&](ConnectOptions& to) {
    with(server, kKeyOfA, kSeedOfA)(to);
    to.inbox = "_INBOX_a";
  });
  const std::string data(64 << 10, 'x');
  for (int i = 0; i < kMessages; ++i)
    ASSERT_EQ(host->publish("knell.ev.0.a.exit.nz", std::to_string(i), {}, data, 60s).outcome,
              Published::Outcome::kStored);
  const auto stream =
      StreamReader::create(*reader, kEventStream, kEventSubjects, StreamReader::From::kOldest);
  ASSERT_TRUE(stream) << stream.error().message();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  int read = 0;
  std::string refused;
  while (read < kMessages && refused.empty() && std::chrono::steady_clock::now() < deadline) {
    if ((*stream)->next(100ms)) ++read;
    refused = reader->refusal();
  }
  EXPECT_EQ(refused, "");
  EXPECT_EQ(read, kMessages);
}

TEST_F(FleetHistory, AHostAnswersForItselfOnly) {
  const NatsServer server(users());
  const auto as_a = with(server, kKeyOfA, kSeedOfA);
  HostWithPast a(server.url(), "a", 10, 0, as_a);
  // The credentials of a permit neither to receive the requests to b nor to answer them.
  HostWithPast b(server.url(), "b", 10, 0, [&](ConnectOptions& to) {
    as_a(to);
    to.inbox = "_INBOX_a";
  });
  const auto connection = connect(server.url(), with(server, kKeyOfReader, kSeedOfReader));
  ASSERT_TRUE(create_streams(*connection, {}));
  HistoryReader reader(*connection, system_clock(), {{"a", false}, {"b", false}}, everything(), 2s);
  ASSERT_TRUE(reader.start());
  const auto shown = read(reader, *connection, {&a.host, &b.host});
  EXPECT_EQ(pids_of(shown, "a"), numbers_to(10));
  EXPECT_EQ(shown.size(), 10U);
  EXPECT_EQ(reader.missing(), (HistoryReader::Notes{{"no answer within 2s", {"b"}}}));
  EXPECT_FALSE(a.host.logged("refuses"));
  EXPECT_TRUE(b.host.connection->subscribe(request_subject("b")));
  ASSERT_TRUE(b.host.run_until([&] { return b.host.logged(request_subject("b")); }));

  const auto refused = [&](const std::string& subject) {
    a.host.log.clear();
    EXPECT_TRUE(a.host.connection->publish(subject, "{}"));
    return a.host.run_until([&] { return a.host.logged(subject); });
  };
  EXPECT_TRUE(refused(reply_subject("b", std::string(32, '0'))));
  EXPECT_TRUE(refused(request_subject("b")));
}

// If the server refuses the credentials, libnats closes the connection. The user of the connection
// must detect that, and not wait for ever.
TEST_F(FleetHistory, AConnectionThatIsClosedForGoodSaysWhy) {
  const auto users = [](const char* key) {
    return std::string("authorization { users: [ {nkey: ") + key + "} ] }\n";
  };
  NatsServer server(users(kKeyOfA));
  const std::string seed = server.folder() + "/seed";
  std::ofstream(seed) << kSeedOfA << "\n";
  const auto connection = connect(server.url(), [&](ConnectOptions& to) {
    to.nkey = kKeyOfA;
    to.nkey_seed = seed;
    to.retry = true;
  });
  EXPECT_EQ(connection->closed(), "");
  server.kill(SIGKILL);
  // Removes the user from the configuration of the server.
  const std::string file = server.folder() + "/nats.conf";
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  std::string changed = text.str();
  changed.replace(changed.find(kKeyOfA), std::string(kKeyOfA).size(), kKeyOfReader);
  std::ofstream(file) << changed;
  server.start();
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (connection->closed().empty()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    pollfd news{connection->wake_fd(), POLLIN, 0};
    (void)::poll(&news, 1, 1000);
    connection->clear_wake();
  }
  EXPECT_FALSE(connection->connected());
}

// The queue of received messages is bounded, and a request can only displace other requests.
TEST_F(FleetHistory, ManyRequestsDoNotDisplaceTheInterest) {
  const NatsServer server;
  const auto connection = connect(server.url());
  HostWithPast a(server.url(), "a", 10);
  ASSERT_TRUE(a.host.connection->flush(kPatience));  // the server has its subscriptions
  ASSERT_TRUE(connection->publish(kControlSubject, "interest"));
  for (int i = 0; i < 20'000; ++i)
    ASSERT_TRUE(connection->publish(request_subject("a"), std::to_string(i)));
  bool interest = false, last = false;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!interest || !last) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    pollfd news{a.host.connection->wake_fd(), POLLIN, 0};
    (void)::poll(&news, 1, 1000);
    a.host.connection->clear_wake();
    size_t requests = 0;
    for (const Message& message : a.host.connection->messages()) {
      if (message.subject == kControlSubject) interest = true;
      if (message.subject != request_subject("a")) continue;
      last = last || message.data == "19999";
      ++requests;
    }
    EXPECT_LE(requests, 64U);
  }
}

}  // namespace
}  // namespace knell::fleet
