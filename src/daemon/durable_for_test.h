// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/durable_listeners.h"
#include "hub/hub.h"
#include "journal/cursor.h"
#include "journal/store_for_test.h"
#include "server/client_for_test.h"

namespace knell::daemon {

// A fake clock that other threads may read.
class SharedClock final : public Clock {
 public:
  std::atomic<uint64_t> now_ns = UINT64_C(1'000'000'000'000);
  std::atomic<int64_t> epoch_ns = journal::kEpochNs;
  uint64_t monotonic_ns() const override { return now_ns; }
  uint64_t boottime_ns() const override { return now_ns; }
  int64_t realtime_ns() const override { return epoch_ns + static_cast<int64_t>(now_ns.load()); }
};

class DaemonWithDurables final : public server::FakeDaemon {
 public:
  Result<Done> attach_durable(server::ConnectionFromClient& client,
                              const wire::Durable& what) override {
    return durable->attach(client, what);
  }
  Result<Done> acknowledge_durable(server::ConnectionFromClient& client,
                                   const wire::Acknowledge& what) override {
    return durable->acknowledge(client, what);
  }
  Result<Done> forget_durable(server::ConnectionFromClient& client,
                              const wire::Forget& what) override {
    return durable->forget(client, what);
  }
  void detach_durable(server::ConnectionFromClient& client) override { durable->detach(client); }
  void continue_durable(server::ConnectionFromClient& client) override {
    durable->resume_reading(client);
  }
  DurableListeners* durable = nullptr;
};

// A delivered event.
struct Delivered {
  uint32_t type = 0;
  int32_t pid = 0;
  bool redelivered = false, exact = false;
  std::optional<uint64_t> lost;
  std::string cursor;
};

struct DurableClient : server::ConnectedClient {
  using ConnectedClient::ConnectedClient;
  uint32_t requests = 0;
  std::vector<Delivered> seen;
  std::vector<wire::Ack> acks;
};

// The part of knelld that serves durable listeners, with a real journal and real connections. Runs
// in one thread, apart from those of the recorder and of the pages.
class DurableStage {
 public:
  struct Options {
    std::string path;  // of the journal
    uint64_t most_bytes = 64 << 20;
    journal::Sync sync = journal::Sync::kProcess;
    Clock* clock = &system_clock();
  };
  explicit DurableStage(Options options) : options_(std::move(options)) { start(); }
  ~DurableStage() { stop(); }
  DurableStage(const DurableStage&) = delete;
  DurableStage& operator=(const DurableStage&) = delete;

  // The account of new names, instead of the uid of this process.
  std::optional<uint32_t> account;
  int missed = 0;  // how often interests_changed() was called with Missed::kYes

  // Starts as knelld does. `clock`: used by the listeners, not by the recorder.
  void start() { start(*options_.clock); }
  void start(Clock& clock) {
    const std::string path = options_.path;
    auto made = DurableListeners::create(
        {.path = path,
         .start =
             [&](std::function<void()> on_progress) {
               journal::RecorderOptions options;
               options.store.path = path;
               options.store.most_bytes = options_.most_bytes;
               options.store.sync = options_.sync;
               options.latency_ns = 0;
               return std::make_unique<journal::Recorder>(
                   options, [](const std::string&) {}, *options_.clock, std::move(on_progress));
             },
         .resume = [](server::ConnectionFromClient&) {},
         .owner_of = [this](uint32_t uid) { return account.value_or(uid); },
         .may_claim = [this](const hub::Users::Account& used, hub::Users::Claim less,
                             hub::Users::Claim more) { return hub_.may_claim(used, less, more); },
         .most_per_user = 2,
         .interests_changed =
             [this](DurableListeners::Options::Missed one) {
               missed += one == DurableListeners::Options::Missed::kYes ? 1 : 0;
             }},
        journal::read_durable_names(path), clock);
    ASSERT_TRUE(made) << made.error().message();
    durable_ = *std::move(made);
    durable_->start();
    daemon_.durable = durable_.get();
  }
  void stop() {
    clients_.clear();
    durable_.reset();
  }

  DurableClient& connect() {
    clients_.push_back(std::make_unique<DurableClient>(hub_, daemon_, ++last_id_));
    clients_.back()->say_hello();
    return *clients_.back();
  }
  void disconnect(DurableClient& client) {
    std::erase_if(clients_, [&](const auto& one) { return one.get() == &client; });
  }

  // Runs one turn of the server, after a short wait for the threads.
  void turn() {
    pollfd ready{.fd = durable_->fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&ready, 1, 20);
    durable_->on_ready();
    for (const auto& client : clients_) {
      client->serve();
      durable_->resume_reading(*client->connection);
      receive(*client);
    }
  }
  void until(const std::function<bool()>& done) {
    for (int i = 0; i < 1000 && !done(); ++i) turn();
    ASSERT_TRUE(done());
  }
  // Runs enough turns for any pending work to be done.
  void settle() {
    const auto written = durable_->recorder().status().commits;
    durable_->recorder().flush();
    for (int i = 0; i < 5; ++i) turn();
    (void)written;
  }

  static void receive(DurableClient& client) {
    for (const std::string& packet : client.end.receive_all()) {
      const auto frame = wire::parse_packet(packet);
      ASSERT_TRUE(frame);
      if (frame->type == wire::Message::kAck) {
        client.acks.push_back(*wire::decode_ack(frame->payload));
      } else if (frame->type == wire::Message::kEvents) {
        wire::EventReader reader(frame->payload);
        for (knell_event event; reader.next(event);) client.seen.push_back(seen_of(event));
        ASSERT_FALSE(reader.malformed());
      }
    }
  }
  static Delivered seen_of(const knell_event& event) {
    Delivered one{.type = event.type,
                  .pid = event.pid,
                  .redelivered = (event.flags & KNELL_FLAG_REDELIVERED) != 0,
                  .exact = (event.flags & KNELL_FLAG_EXACT) != 0,
                  .lost = {},
                  .cursor = std::string(event.cursor.data, event.cursor.size)};
    if ((event.has & KNELL_HAS_COUNT) != 0) one.lost = event.lost_count;
    return one;
  }

  wire::Ack ask(DurableClient& client, const std::string& packet) {
    const size_t before = client.acks.size();
    KNELL_CHECK(client.end.send(packet));
    until([&] { return client.acks.size() > before; });
    return client.acks.empty() ? wire::Ack{.error = -1, .request = 0, .text = {}}
                               : client.acks.back();
  }
  static std::string attach_packet(DurableClient& client, const wire::Durable& what, uint32_t mask,
                                   std::vector<filter::Predicate> predicates) {
    filter::Subscription subscription;
    subscription.mask = mask;
    subscription.predicates = std::move(predicates);
    return *wire::encode(subscription, ++client.requests, &what);
  }
  wire::Ack attach(DurableClient& client, const wire::Durable& what,
                   uint32_t mask = KNELL_EVENT_EXIT,
                   std::vector<filter::Predicate> predicates = {}) {
    return ask(client, attach_packet(client, what, mask, std::move(predicates)));
  }
  // Only passes the request to the recorder: its answer is read by the next turn().
  static void send_attach(DurableClient& client, const wire::Durable& what, uint32_t mask,
                          std::vector<filter::Predicate> predicates = {}) {
    KNELL_CHECK(client.end.send(attach_packet(client, what, mask, std::move(predicates))));
    client.serve();
  }
  DurableClient& attached(const std::string& name, uint32_t from = KNELL_FROM_ACKNOWLEDGED) {
    DurableClient& client = connect();
    const wire::Ack ack = attach(client, {.name = name, .from = from, .cursor = {}});
    EXPECT_EQ(ack.error, 0) << ack.text;
    return client;
  }
  wire::Ack acknowledge(DurableClient& client, const Delivered& event) {
    return ask(client, wire::encode(wire::Acknowledge{.cursor = event.cursor}, ++client.requests));
  }

  // Handles an event as the daemon does.
  void happen(const knell_event& event, const filter::Ancestry& ancestry = filter::NoAncestry()) {
    const auto wanted = durable_->wants(event, ancestry);
    knell_event stored = event;
    stored.flags |= wanted.marks;
    if (wanted.any || wanted.marks != 0) durable_->recorder().add(stored);
  }
  void exits(int first, int last) {
    for (int pid = first; pid <= last; ++pid) happen(journal::exit_event(pid, 0x100));
  }
  static std::vector<int32_t> pids(const DurableClient& client) {
    std::vector<int32_t> all;
    for (const Delivered& one : client.seen) all.push_back(one.pid);
    return all;
  }
  journal::DurableName row(const std::string& name) {
    durable_->recorder().flush();
    for (const journal::DurableName& one : journal::read_durable_names(options_.path))
      if (one.name == name) return one;
    ADD_FAILURE() << "there is no " << name;
    return {};
  }

  Options options_;
  server::WireEventEncoder encoder_;
  hub::Hub hub_{encoder_, {}};
  DaemonWithDurables daemon_;
  std::unique_ptr<DurableListeners> durable_;
  std::vector<std::unique_ptr<DurableClient>> clients_;
  uint64_t last_id_ = 0;
};

// The numbers, from 1, of the calls at which a test injects a fault: KNELL_CRASH_POINTS=all: all
// calls, =N: all from N on; otherwise the first 4 and then each `sample`-th.
inline int first_point() {
  const char* const given = std::getenv("KNELL_CRASH_POINTS");
  return given == nullptr ? 1 : std::max(std::atoi(given), 1);
}
inline int next_point(int point, int sample) {
  return point < 4 || std::getenv("KNELL_CRASH_POINTS") != nullptr ? point + 1 : point + sample;
}

}  // namespace knell::daemon
