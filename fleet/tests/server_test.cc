// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// The forwarder and its readers against a real nats-server.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <nats/nats.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <knell/knell.hpp>
#include <map>
#include <numeric>
#include <random>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "base/json_value.h"
#include "base/unique_fd.h"
#include "fleet/event_for_test.h"
#include "fleet/forwarder.h"
#include "fleet/hosts.h"
#include "fleet/interest_store.h"
#include "fleet/repeats.h"
#include "fleet/stream_reader.h"
#include "fleet/streams.h"
#include "fleet/subject.h"
#include "fleet/tests/nats_server.h"
#include "fleet/tests/simulated_host.h"

namespace knell::fleet {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

std::unique_ptr<Connection> connect(const std::string& url) {
  ConnectOptions to;
  to.servers = url;
  auto connection = Connection::create(to);
  if (!connection) ADD_FAILURE() << connection.error().message();
  return connection ? *std::move(connection) : nullptr;
}

int64_t now_ms() { return system_clock().realtime_ns() / 1'000'000; }

Result<FleetInterest> ask(Connection& connection, const std::string& owner, uint32_t events,
                          milliseconds lease = 1h, const std::string& hosts = "*") {
  return change_interest(connection, [&](FleetInterest& interest) {
    return put_selector(interest, {owner, hosts, events, {}, now_ms() + lease.count()}, now_ms());
  });
}

// The pids of the events of each host.
using Pids = std::map<std::string, std::vector<int>>;

void add_pid(Pids& pids, const JsonValue& event) {
  pids[event["host"].text()].push_back(static_cast<int>(event["pid"].count()));
}

// The pids of all events of the stream, in order, without repeats.
Pids stored(const std::string& url, size_t* messages = nullptr) {
  Pids pids;
  const auto connection = connect(url);
  const auto open = [&] {
    return StreamReader::create(*connection, kEventStream, kEventSubjects,
                                StreamReader::From::kOldest);
  };
  auto reader = open();
  // A server of a cluster that was just started reports the stream a little later.
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!reader && std::chrono::steady_clock::now() < deadline) reader = open();
  EXPECT_TRUE(reader) << reader.error().message();
  Repeats repeats(1'000'000);
  while (reader && !(*reader)->at_end()) {
    const auto message = (*reader)->next(10s);
    if (!message) continue;
    if (messages != nullptr) ++*messages;
    for (size_t at = 0; at < message->data.size();) {
      const size_t end = message->data.find('\n', at);
      const auto value = parse_json_object(message->data.substr(at, end - at));
      at = end + 1;
      if (value && repeats.is_new(event_key(*value))) add_pid(pids, *value);
    }
  }
  return pids;
}

std::vector<int> stored_pids(const std::string& url, size_t* messages = nullptr) {
  return stored(url, messages)["h1"];
}

std::vector<int> numbers_to(int last) {
  std::vector<int> numbers(static_cast<size_t>(last));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

// The program `knell-fleet watch`, which shows the non-zero exits of all hosts.
class WatchProgram {
 public:
  // `folder`: the folder for its output. `more`: additional arguments.
  WatchProgram(const std::string& url, const std::string& folder,
               std::vector<std::string> more = {})
      : file_(folder + "/shown") {
    std::vector<std::string> words{"knell-fleet", "watch",        "--server", url,
                                   "-e",          "nonzero-exit", "-o",       "json"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int out = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(out, 1);
      ::dup2(::open((file_ + ".err").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), 2);
      ::execv(KNELL_BIN "/knell-fleet", arguments.data());
      ::_exit(127);
    }
  }
  WatchProgram(const WatchProgram&) = delete;
  WatchProgram& operator=(const WatchProgram&) = delete;
  ~WatchProgram() {
    if (!ended()) ::kill(pid_, SIGKILL);
    if (!ended_) ::waitpid(pid_, nullptr, 0);
  }
  void interrupt() const { ::kill(pid_, SIGINT); }
  // Whether the program has ended; then `status` is its wait status.
  bool ended() { return ended_ = ended_ || ::waitpid(pid_, &status, WNOHANG) == pid_; }
  Pids shown() const {
    Pids pids;
    std::ifstream lines(file_);
    for (std::string line; std::getline(lines, line) && !lines.eof();)
      if (const auto event = parse_json_object(line)) add_pid(pids, *event);
    return pids;
  }
  // Whether standard error has this text.
  bool said(const std::string& text) const {
    std::ostringstream all;
    all << std::ifstream(file_ + ".err").rdbuf();
    return all.str().contains(text);
  }
  int status = -1;

 private:
  std::string file_;
  pid_t pid_ = -1;
  bool ended_ = false;
};

// Hosts h1, h2, ... that forward events until finish(), each in a separate thread.
class BusyHosts {
 public:
  BusyHosts(const std::string& url, int count, uint32_t events_per_second) {
    for (int i = 0; i < count; ++i) hosts_.emplace_back();
    int number = 0;
    for (BusyHost& host : hosts_) {
      ForwarderOptions options = forwarder_options("h" + std::to_string(++number));
      options.events_per_second = events_per_second;
      host.thread = std::thread([this, &host, url, options] { run(host, url, options); });
    }
  }
  ~BusyHosts() { (void)finish(); }
  // The events that the server acknowledged so far.
  uint64_t sent() const {
    uint64_t sum = 0;
    for (const BusyHost& host : hosts_) sum += host.sent;
    return sum;
  }
  // Waits until sent() is at least `count`.
  bool send(uint64_t count) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (sent() < count) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      (void)::poll(nullptr, 0, 2);
    }
    return true;
  }
  // Waits until all events are sent; returns the events that a reader must get. Fails if that takes
  // too long.
  Pids finish() {
    finish_ = true;
    Pids pids;
    int number = 0;
    for (BusyHost& host : hosts_) {
      if (host.thread.joinable()) host.thread.join();
      pids["h" + std::to_string(++number)] = numbers_to(host.produced);
    }
    return pids;
  }

 private:
  struct BusyHost {
    std::thread thread;
    std::atomic<uint64_t> sent = 0;
    int produced = 0;  // number of events; only for `thread` until it has ended
  };

  void run(BusyHost& host, const std::string& url, const ForwarderOptions& options) const {
    Host simulated(url, options);
    const auto all_sent = [&] {
      host.sent = simulated.forwarder->outbox().sent();
      if (finish_) return host.sent == static_cast<uint64_t>(host.produced);
      if (simulated.forwarder->outbox().waiting() == 0) {
        simulated.stream.produce(100);
        host.produced += 100;
      }
      return false;
    };
    while (!finish_) (void)simulated.run_until([&] { return all_sent() || finish_; });
    EXPECT_TRUE(simulated.run_until(all_sent))
        << options.host << ": " << simulated.forwarder->presence().state;
  }

  std::deque<BusyHost> hosts_;
  std::atomic<bool> finish_ = false;
};

class FleetServer : public testing::Test {
 protected:
  void SetUp() override {
    if (!NatsServer::installed()) GTEST_SKIP() << "nats-server is not installed";
  }
  static void init(const std::string& url, const StreamLimits& limits = {}) {
    const auto connection = connect(url);
    const auto created = create_streams(*connection, limits);
    ASSERT_TRUE(created) << created.error().message();
  }
};

TEST_F(FleetServer, NobodyAsksThenNothingIsSent) {
  NatsServer server;
  init(server.url());
  Host host(server.url());
  host.stream.produce(100);
  const auto reader = connect(server.url());
  // A presence says that the host has read the interest.
  ASSERT_TRUE(host.run_until([&] { return read_hosts(*reader)->contains("h1"); }));
  EXPECT_EQ(host.stream.wanted(), Wanted{});
  ASSERT_TRUE(ask(*reader, "other", KNELL_EVENT_EXIT, 1h, "web*"));
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_NONZERO_EXIT));
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->presence().events == 100; }));
  EXPECT_EQ(host.stream.wanted().events, uint32_t{KNELL_EVENT_NONZERO_EXIT});
  EXPECT_EQ(stored_pids(server.url()), numbers_to(100));
}

TEST_F(FleetServer, TheLeaseOfAReaderEnds) {
  NatsServer server;
  init(server.url());
  ForwarderOptions options = forwarder_options("h1");
  options.lease_grace = 100ms;
  Host host(server.url(), options);
  const auto reader = connect(server.url());
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_EXEC, 2s));
  ASSERT_TRUE(host.run_until([&] { return host.stream.wanted().events != 0; }));
  ASSERT_TRUE(host.run_until([&] { return host.stream.wanted().events == 0; }));
}

// The reader cannot renew its lease while the server is away.
TEST_F(FleetServer, IsAwayForLongerThanALease) {
  constexpr auto kLease = 2s;
  NatsServer server;
  init(server.url());
  ForwarderOptions options = forwarder_options("h1");
  options.lease_grace = 10s;  // the reader reconnects after up to 3 s
  Host host(server.url(), options);
  const auto reader = connect(server.url());
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_EXIT, kLease));
  ASSERT_TRUE(host.run_until([&] { return host.stream.wanted().events != 0; }));
  bool stopped = false;
  const auto run_until = [&](const std::function<bool()>& done) {
    return host.run_until([&] {
      stopped = stopped || host.stream.wanted().events == 0;
      return done();
    });
  };
  server.kill(SIGKILL);
  const int64_t end = now_ms() + milliseconds(kLease).count() + 500;
  ASSERT_TRUE(run_until([&] { return now_ms() > end; }));
  host.stream.produce(50);
  server.start();
  ASSERT_TRUE(run_until([&] { return host.forwarder->outbox().sent() == 50; }));
  ASSERT_TRUE(run_until([&] { return reader->connected(); }));
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_EXIT, 1h));
  host.stream.produce(50);
  ASSERT_TRUE(run_until([&] { return host.forwarder->outbox().sent() == 100; }));
  EXPECT_FALSE(stopped);
  EXPECT_EQ(stored_pids(server.url()), numbers_to(100));
}

TEST_F(FleetServer, AHostThatStartsLaterReadsTheInterest) {
  NatsServer server;
  init(server.url());
  const auto reader = connect(server.url());
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_EXEC));
  Host host(server.url());
  ASSERT_TRUE(host.run_until([&] { return host.stream.wanted().events == KNELL_EVENT_EXEC; }));
}

TEST_F(FleetServer, ReadersChangeTheInterestAtTheSameTime) {
  NatsServer server;
  init(server.url());
  const auto a = connect(server.url()), b = connect(server.url());
  bool between = false;
  const auto changed = change_interest(*a, [&](FleetInterest& interest) {
    // Once, b changes the interest between the read and the write of a.
    if (!std::exchange(between, true)) {
      EXPECT_TRUE(ask(*b, "b", KNELL_EVENT_EXIT));
    }
    return put_selector(interest, {"a", "*", KNELL_EVENT_EXEC, {}, now_ms() + 60'000}, now_ms());
  });
  ASSERT_TRUE(changed);
  EXPECT_EQ(stored_interest(*a)->selectors.size(), 2u);
}

// A value that this version cannot read stays as it is: it may have the selectors of all readers.
TEST_F(FleetServer, AnInvalidInterestIsNotReplaced) {
  const NatsServer server;
  init(server.url(), {.shards = 3});
  const auto connection = connect(server.url());
  const uint64_t revision = stored_interest(*connection)->revision;
  const std::string invalid = R"({"shards":1000,"selectors":[]})";
  ASSERT_TRUE(connection->replace_last(kInterestSubject, revision, invalid));
  const auto asked = ask(*connection, "me", KNELL_EVENT_EXIT);
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, EBADMSG);
  EXPECT_TRUE(asked.error().message().contains(kInterestBucket)) << asked.error().message();
  EXPECT_EQ((*connection->last_message(kInterestStream, kInterestSubject))->data, invalid);

  // The repair that the message names; a deleted key has an empty last message.
  ASSERT_TRUE(connection->replace_last(kInterestSubject, revision + 1, ""));
  init(server.url());
  EXPECT_EQ(stored_interest(*connection)->shards, 3U);
  EXPECT_TRUE(ask(*connection, "me", KNELL_EVENT_EXIT));
}

TEST_F(FleetServer, AnInterestAboveTheLimitsIsNotStored) {
  const NatsServer server;
  init(server.url());
  const auto connection = connect(server.url());
  ASSERT_TRUE(ask(*connection, "first", KNELL_EVENT_EXIT));
  const auto changed = change_interest(*connection, [](FleetInterest& interest) -> Result<void> {
    interest.selectors.resize(kMostSelectors + 1, interest.selectors[0]);
    return {};
  });
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, E2BIG);
  EXPECT_EQ(stored_interest(*connection)->selectors.size(), 1U);
}

// The server is killed while events are sent. All events that were sent must be stored, in order,
// and `knell-fleet watch` must show each event once.
TEST_F(FleetServer, IsKilledManyTimes) {
  constexpr int kEvents = 4000, kKills = 4;
  NatsServer server;
  init(server.url());
  Host host(server.url());

  WatchProgram watch(server.url(), server.folder(), {"-n", std::to_string(kEvents)});
  ASSERT_TRUE(host.run_until([&] { return host.stream.wanted().events != 0; }));
  for (int kill = 0; kill < kKills; ++kill) {
    const uint64_t sent = host.forwarder->outbox().sent();
    host.stream.produce(kEvents / kKills);
    ASSERT_TRUE(host.run_until([&] { return host.forwarder->outbox().sent() > sent + 300; }));
    server.kill(SIGKILL);
    server.start();
  }
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->outbox().sent() == kEvents; }));
  EXPECT_GE(host.forwarder->outbox().resends(), 1u);
  size_t messages = 0;
  EXPECT_EQ(stored_pids(server.url(), &messages), numbers_to(kEvents));
  EXPECT_EQ(messages, size_t{kEvents / 10});  // the server dropped every repeat

  ASSERT_TRUE(host.run_until([&] { return watch.ended(); }));
  EXPECT_EQ(watch.status, 0);
  EXPECT_EQ(watch.shown()["h1"], numbers_to(kEvents));
}

// The stream has three copies. At random moments a server is killed and started again, while the
// others run. It may be the leader of the stream, the server to which a host or the reader is
// connected, or the server that has the consumer of the reader.
TEST_F(FleetServer, OneOfAClusterIsKilledManyTimes) {
  constexpr int kHosts = 3, kKills = 5;
  constexpr uint32_t kRate = 300;  // events a second of a host
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 chance(seed);
  const auto some = [&](size_t most) {
    return std::uniform_int_distribution<size_t>(0, most)(chance);
  };
  NatsCluster cluster;
  StreamLimits limits;
  limits.replicas = 3;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  ConnectOptions to;
  to.servers = cluster.url();
  for (bool made = false; !made;) {  // until the servers have found each other
    const auto connection = Connection::create(to);
    made = connection && create_streams(**connection, limits);
    ASSERT_LT(std::chrono::steady_clock::now(), deadline)
        << (connection ? "" : connection.error().message());
    (void)::poll(nullptr, 0, 50);
  }
  WatchProgram watch(cluster.url(), cluster.server(0).folder());
  BusyHosts hosts(cluster.url(), kHosts, kRate);
  ASSERT_TRUE(hosts.send(1));
  for (int kill = 0; kill < kKills; ++kill) {
    ASSERT_TRUE(hosts.send(hosts.sent() + 1 + some(kHosts * kRate)));
    NatsServer& killed = cluster.server(some(NatsCluster::kServers - 1));
    killed.kill(SIGKILL);
    ASSERT_TRUE(hosts.send(hosts.sent() + 1 + some(kHosts * kRate)));
    killed.start();
  }
  const Pids all = hosts.finish();
  EXPECT_EQ(stored(cluster.url()), all);
  const auto shows_all = [&] {
    const Pids shown = watch.shown();
    return std::ranges::all_of(all, [&](const auto& host) {
      const auto found = shown.find(host.first);
      return found != shown.end() && found->second.size() >= host.second.size();
    });
  };
  while (!shows_all() && !watch.ended() && std::chrono::steady_clock::now() < deadline + kPatience)
    (void)::poll(nullptr, 0, 50);
  watch.interrupt();
  while (!watch.ended() && std::chrono::steady_clock::now() < deadline + kPatience)
    (void)::poll(nullptr, 0, 10);
  EXPECT_EQ(watch.status, 0);
  EXPECT_EQ(watch.shown(), all);
}

// Simulates a loss of power: the server has acknowledged messages that its disk does not have.
TEST_F(FleetServer, GoesBackInTime) {
  NatsServer server;
  init(server.url());
  Host host(server.url());
  const auto reader = connect(server.url());
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_EXIT));
  host.stream.produce(500);
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->outbox().sent() == 500; }));
  server.kill(SIGTERM);
  server.save_files();
  server.start();
  host.stream.produce(500);
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->outbox().sent() == 1000; }));
  EXPECT_EQ(host.stream.acked(), 0u);
  server.kill(SIGKILL);
  server.restore_files();
  server.start();
  EXPECT_EQ(stored_pids(server.url()).size(), 500u);
  const uint64_t resends = host.forwarder->outbox().resends();
  ASSERT_TRUE(host.run_until([&] {
    return host.forwarder->outbox().resends() > resends && host.forwarder->outbox().waiting() == 0;
  }));
  EXPECT_EQ(stored_pids(server.url()), numbers_to(1000));
}

TEST_F(FleetServer, StartsLater) {
  NatsServer server;
  init(server.url());
  ASSERT_TRUE(ask(*connect(server.url()), "me", KNELL_EVENT_EXIT));
  server.kill(SIGKILL);
  Host host(server.url());
  host.stream.produce(50);
  host.forwarder->step();
  EXPECT_FALSE(host.connection->connected());
  server.start();
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->outbox().sent() == 50; }));
}

TEST_F(FleetServer, OneOfSeveralUrls) {
  NatsServer server, other;
  init(other.url());
  server.kill(SIGKILL);
  EXPECT_NE(connect(server.url() + "," + other.url()), nullptr);
  EXPECT_NE(connect(other.url() + "," + server.url()), nullptr);
}

TEST_F(FleetServer, AcksAfterTheHold) {
  NatsServer server;
  init(server.url());
  ForwarderOptions options = forwarder_options("h1");
  options.outbox.hold = 1s;
  Host host(server.url(), options);
  ASSERT_TRUE(ask(*connect(server.url()), "me", KNELL_EVENT_EXIT));
  host.stream.produce(50);
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->outbox().sent() == 50; }));
  ASSERT_TRUE(host.run_until([&] { return host.stream.acked() == 50; }));
}

TEST_F(FleetServer, WithoutStreams) {
  NatsServer server;
  Host host(server.url());
  ASSERT_TRUE(host.run_until([&] { return host.logged("run knell fleet init"); }));
}

struct StreamSeen {
  int64_t age_ns, bytes, replicas;
  bool discard_new;
  bool operator==(const StreamSeen&) const = default;
};

StreamSeen seen_of(Connection& connection, const std::string& name) {
  jsStreamInfo* info = nullptr;
  EXPECT_EQ(js_GetStreamInfo(&info, connection.jetstream(), name.c_str(), nullptr, nullptr),
            NATS_OK)
      << name;
  if (info == nullptr) return {};
  const StreamSeen seen{info->Config->MaxAge, info->Config->MaxBytes, info->Config->Replicas,
                        info->Config->Discard == js_DiscardNew};
  jsStreamInfo_Destroy(info);
  return seen;
}

// Limits that are not typed are those of the existing streams, so that no stored event is deleted.
TEST_F(FleetServer, InitKeepsTheLimitsThatAreNotTyped) {
  const NatsServer server;
  const auto connection = connect(server.url());
  constexpr int64_t kBytes = 300 << 20;
  const StreamSeen first{std::chrono::nanoseconds(24h * 30).count(), kBytes, 1, true};
  init(server.url(), {.age = 24h * 30, .bytes = kBytes, .discard_new = true});
  ASSERT_EQ(seen_of(*connection, event_stream(0)), first);
  init(server.url(), {.shards = 3});
  for (uint32_t shard = 0; shard < 3; ++shard)
    EXPECT_EQ(seen_of(*connection, event_stream(shard)), first) << shard;
  init(server.url());
  EXPECT_EQ(seen_of(*connection, event_stream(0)), first);

  init(server.url(), {.age = 1h});
  EXPECT_EQ(seen_of(*connection, event_stream(2)),
            (StreamSeen{std::chrono::nanoseconds(1h).count(), kBytes, 1, true}));
  init(server.url(), {.bytes = 3000, .discard_new = false});
  EXPECT_EQ(seen_of(*connection, event_stream(1)),
            (StreamSeen{std::chrono::nanoseconds(1h).count(), 1000, 1, false}));
  EXPECT_GT(seen_of(*connection, kHostStream).bytes, 1000);
}

TEST_F(FleetServer, InitDeletesNoEventsWhenShardsAreAdded) {
  const NatsServer server;
  init(server.url(), {.bytes = 200'000});
  Host host(server.url());
  const auto reader = connect(server.url());
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_EXIT));
  host.stream.produce(200);
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->presence().events == 200; }));
  const auto refused = create_streams(*reader, {.bytes = 20'000, .shards = 2});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
  EXPECT_TRUE(refused.error().message().contains("--bytes")) << refused.error().message();
  init(server.url(), {.shards = 2});
  EXPECT_EQ(stored_pids(server.url()), numbers_to(200));
}

TEST_F(FleetServer, IsFull) {
  NatsServer server;
  StreamLimits limits;
  limits.bytes = 20'000;
  limits.discard_new = true;
  init(server.url(), limits);
  Host host(server.url());
  const auto reader = connect(server.url());
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_EXIT));
  host.stream.produce(200);
  ASSERT_TRUE(host.run_until([&] { return host.logged("the stream of events is full"); }));
  ASSERT_TRUE(host.run_until([&] {
    const auto hosts = read_hosts(*reader);
    const auto h1 = hosts->find("h1");
    return h1 != hosts->end() && h1->second.presence.state.contains("the stream of events is full");
  }));
  limits.bytes = 2'000'000;
  init(server.url(), limits);
  ASSERT_TRUE(host.run_until([&] { return host.forwarder->outbox().sent() == 200; }));
  EXPECT_EQ(stored_pids(server.url()), numbers_to(200));
}

// While the outbox has no room, the forwarder waits for its next attempt to send.
TEST_F(FleetServer, AFullOutboxDoesNotSpin) {
  NatsServer server;
  StreamLimits limits;
  limits.bytes = 20'000;
  limits.discard_new = true;
  init(server.url(), limits);
  ForwarderOptions options = forwarder_options("h1");
  options.batch.events = 7;  // a read of 20 events leaves some in the open batch
  options.outbox.bytes = 20'000;
  Host host(server.url(), options);
  ASSERT_TRUE(ask(*connect(server.url()), "me", KNELL_EVENT_EXIT));
  host.stream.produce(2000);
  ASSERT_TRUE(host.run_until([&] {
    return host.logged("the stream of events is full") && !host.forwarder->reads_events();
  }));
  const uint64_t begin = system_clock().monotonic_ns();
  const auto after_the_age_of_a_batch = [&] {
    return system_clock().monotonic_ns() - begin > 100'000'000;
  };
  ASSERT_TRUE(host.run_until(after_the_age_of_a_batch));
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  EXPECT_TRUE(host.run_until([&] {
    return host.forwarder->timeout() > 0ms || std::chrono::steady_clock::now() > deadline;
  }));
  EXPECT_GT(host.forwarder->timeout(), 0ms);
}

TEST_F(FleetServer, AHostReportsTheSelectorsThatItRefuses) {
  NatsServer server;
  init(server.url());
  ForwarderOptions options = forwarder_options("h1");
  options.details = KNELL_DETAILS_STATUS;
  Host host(server.url(), options);
  WatchProgram watch(server.url(), server.folder(), {"-u", "cron"});
  const auto reader = connect(server.url());
  ASSERT_TRUE(host.run_until([&] {
    const auto hosts = read_hosts(*reader);
    return hosts->contains("h1") && hosts->at("h1").presence.refused.contains("unit=cron");
  }));
  EXPECT_EQ(host.stream.wanted(), Wanted{});
  ASSERT_TRUE(host.run_until([&] { return watch.said("h1: sends no events for this request"); }));
}

TEST_F(FleetServer, AReaderOfHostsFollowsTheirPresence) {
  NatsServer server;
  init(server.url());
  const auto reader = connect(server.url());
  Host first(server.url());
  ASSERT_TRUE(first.run_until([&] { return read_hosts(*reader)->contains("h1"); }));
  auto hosts = HostsReader::create(*reader);
  ASSERT_TRUE(hosts) << hosts.error().message();
  const auto follow = [&](Host& host, const std::function<bool()>& done) {
    return host.run_until([&] {
      while (hosts->next(0ms)) continue;
      return hosts->at_end() && done();
    });
  };
  ASSERT_TRUE(follow(first, [&] { return hosts->hosts().contains("h1"); }));
  // A change of a host, a host that is new, and a restart of the server.
  ASSERT_TRUE(ask(*reader, "me", KNELL_EVENT_EXEC));
  ASSERT_TRUE(follow(first, [&] { return hosts->hosts().at("h1").presence.asked == "exec"; }));
  Host second(server.url(), forwarder_options("h2"));
  ASSERT_TRUE(follow(second, [&] { return hosts->hosts().contains("h2"); }));
  server.kill(SIGKILL);
  server.start();
  ASSERT_TRUE(ask(*connect(server.url()), "me", KNELL_EVENT_FORK));
  ASSERT_TRUE(follow(first, [&] { return hosts->hosts().at("h1").presence.asked == "fork"; }));
}

TEST_F(FleetServer, TwoForwardersOfOneName) {
  NatsServer server;
  init(server.url());
  Host first(server.url()), second(server.url());
  ASSERT_TRUE(first.run_until([&] {
    second.forwarder->step();
    return first.logged("another forwarder calls itself h1 too") &&
           second.logged("another forwarder calls itself h1 too");
  }));
}

// The rate is lower than the number of events in a batch.
TEST_F(FleetServer, ALowRateLimitsTheEvents) {
  constexpr uint64_t kRate = 10, kBatch = 64, kBurst = 10 * kRate;
  NatsServer server;
  init(server.url());
  FakeClock clock;
  clock.epoch_ns = system_clock().realtime_ns();
  ForwarderOptions options = forwarder_options("h1");
  options.events_per_second = kRate;
  options.batch.events = kBatch;
  Host host(server.url(), options, {}, clock);
  ASSERT_TRUE(ask(*connect(server.url()), "me", KNELL_EVENT_EXIT));
  host.stream.produce(1000);
  const auto sent = [&] { return host.forwarder->presence().events; };
  const auto step = [&](int times) { return host.run_until([&] { return times-- == 0; }); };
  ASSERT_TRUE(host.run_until([&] { return sent() >= kBatch; }));
  ASSERT_TRUE(step(20));
  EXPECT_LT(sent(), kBurst + kBatch);
  for (uint64_t second = 1; second <= 30; ++second) {
    clock.now_ns += 1'000'000'000;
    ASSERT_TRUE(step(3));
    EXPECT_LT(sent(), kBurst + second * kRate + kBatch) << second;
  }
  EXPECT_GE(sent(), kBurst + 30 * kRate - kBatch);
}

// The credentials of a host permit only the subjects of this host.
constexpr const char* kKeyOfH1 = "UDM5BRQUZC52HDYAGEPXQ2K6A5SZ53NBUU7OU52LXZOINAZ56D6HUOIR";
constexpr const char* kSeedOfH1 = "SUABRBPIOSU6GKBZ6HW4JYIMYO5SZX4IBQNP7DGIREJJBKA3HNADIB3WEI";
constexpr const char* kKeyOfAdmin = "UDAH6PY3B7YMBG6SJQWDU5W4VCFP5RYD22X6JGDP5EBPCRNGY33GHEJ6";
constexpr const char* kSeedOfAdmin = "SUAOIKXAS4EYPCBXDELOFX5S743YT6TLYDTOCOH2EWRIYODWADJQHUD5BU";

std::string users() {
  return std::string("authorization { users: [\n") + "  {nkey: " + kKeyOfAdmin +
         "}\n  {nkey: " + kKeyOfH1 +
         R"(, permissions: {
    publish: ["knell.ev.*.h1.>", "knell.hb.h1", "$JS.API.STREAM.MSG.GET.KV_knell_interest"]
    subscribe: ["knell.ctl.all", "knell.hb.h1", "_INBOX_h1.>"]
  }}
]}
)";
}

TEST_F(FleetServer, AHostPublishesItsOwnEventsOnly) {
  NatsServer server(users());
  const auto with = [&](const char* key, const char* seed) {
    const std::string file = server.folder() + "/" + key;
    std::ofstream(file) << seed << "\n";
    return [=](ConnectOptions& to) {
      to.nkey = key;
      to.nkey_seed = file;
    };
  };
  ConnectOptions as_admin;
  as_admin.servers = server.url();
  with(kKeyOfAdmin, kSeedOfAdmin)(as_admin);
  const auto admin = Connection::create(as_admin);
  ASSERT_TRUE(admin) << admin.error().message();
  ASSERT_TRUE(create_streams(**admin, {}));
  ASSERT_TRUE(ask(**admin, "me", KNELL_EVENT_EXIT));

  // A host can send under its own name with these permissions.
  Host own(server.url(), forwarder_options("h1"), with(kKeyOfH1, kSeedOfH1));
  own.stream.produce(30);
  ASSERT_TRUE(own.run_until([&] { return own.forwarder->outbox().sent() == 30; }));
  ASSERT_TRUE(own.run_until([&] { return read_hosts(**admin)->contains("h1"); }));
  EXPECT_EQ(own.log, std::vector<std::string>());

  // The host cannot send under the name of another host.
  Host other(server.url(), forwarder_options("h2"), [&](ConnectOptions& to) {
    with(kKeyOfH1, kSeedOfH1)(to);
    to.inbox = "_INBOX_h1";
  });
  other.stream.produce(30);
  ASSERT_TRUE(
      other.run_until([&] { return other.logged("the server refuses events of this host"); }));
  EXPECT_FALSE(read_hosts(**admin)->contains("h2"));

  // The host can read neither the events of other hosts nor the stream.
  const auto refused = [&](const std::string& subject) {
    own.log.clear();
    EXPECT_TRUE(own.connection->subscribe(subject));
    return own.run_until([&] { return own.logged(subject); });
  };
  EXPECT_TRUE(refused("knell.ev.>"));
  EXPECT_TRUE(refused("_INBOX_h2.>"));
  EXPECT_FALSE(StreamReader::create(*own.connection, kEventStream, kEventSubjects,
                                    StreamReader::From::kOldest));
  EXPECT_FALSE(ask(*own.connection, "h1", KNELL_EVENT_ALL));

  // Without credentials there is no connection.
  ConnectOptions nobody;
  nobody.servers = server.url();
  const auto none = Connection::create(nobody);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, EACCES);
}

// Without the permission of flow control the server stops to send, and only its refusal reports
// that.
TEST_F(FleetServer, WatchReportsWhatTheServerRefuses) {
  NatsServer server(std::string("authorization { users: [\n  {user: admin, password: a}\n") +
                    R"(  {user: reader, password: r, permissions: {
    publish: ["$JS.API.>", "knell.ctl.all", "$KV.knell_interest._all"]
    subscribe: ["_INBOX.>"]
  }}
]}
)");
  const std::string address = server.url().substr(server.url().rfind('/') + 1);
  const auto admin = connect("nats://admin:a@" + address);
  ASSERT_TRUE(create_streams(*admin, {}));
  WatchProgram watch("nats://reader:r@" + address, server.folder());
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (stored_interest(*admin)->selectors.empty()) {
    ASSERT_FALSE(watch.ended());
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    (void)::poll(nullptr, 0, 10);
  }
  const std::string data(64 << 10, 'x');
  for (int i = 0; i < 256; ++i)
    ASSERT_EQ(admin->publish("knell.ev.0.h1.exit.nz", std::to_string(i), {}, data, 60s).outcome,
              Published::Outcome::kStored);
  while (!watch.said("$JS.FC.")) {
    ASSERT_FALSE(watch.ended());
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    (void)::poll(nullptr, 0, 10);
  }
}

// The server requires a certificate of each client. The authority of the test has signed only the
// certificates of the test.
TEST_F(FleetServer, Tls) {
  const NatsServer folder_of_files;
  const std::string ca = folder_of_files.folder() + "/ca.pem";
  const std::string key = folder_of_files.folder() + "/key.pem";
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
      "-days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout " +
      key + " -out " + ca + " 2>/dev/null";
  if (std::system(make.c_str()) != 0) GTEST_SKIP() << "openssl is not installed";
  const NatsServer server("tls { cert_file: \"" + ca + "\", key_file: \"" + key +
                          "\", ca_file: \"" + ca + "\", verify: true }\n");
  ConnectOptions to;
  to.servers = "tls://localhost" + server.url().substr(server.url().rfind(':'));
  to.ca = ca;
  to.cert = ca;
  to.key = key;
  const auto connection = Connection::create(to);
  ASSERT_TRUE(connection) << connection.error().message();
  EXPECT_TRUE(create_streams(**connection, {}));

  ConnectOptions without_certificate = to;
  without_certificate.cert = without_certificate.key = "";
  EXPECT_FALSE(Connection::create(without_certificate));
  ConnectOptions without_trust = to;
  without_trust.ca = "";
  EXPECT_FALSE(Connection::create(without_trust));
  ConnectOptions other_name = to;
  other_name.servers = "tls://127.0.0.1" + server.url().substr(server.url().rfind(':'));
  EXPECT_FALSE(Connection::create(other_name));
}

}  // namespace
}  // namespace knell::fleet
