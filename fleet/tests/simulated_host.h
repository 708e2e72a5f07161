// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// A host of a fleet without knelld: a real forwarder whose events are numbered exits.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "fleet/event_for_test.h"
#include "fleet/forwarder.h"

namespace knell::fleet {

constexpr std::chrono::minutes kPatience(5);  // only to end a test that hangs

// A stream of exits of the processes 1 to `count`. It has events only while the interest is not
// empty; produce() adds events.
class NumberedExits final : public EventStream {
 public:
  explicit NumberedExits(int count = 0) : fd_(::eventfd(1, EFD_CLOEXEC)), count_(count) {}
  void produce(int count) { count_ += count; }
  const std::string& id() const override { return id_; }
  Result<void> set_wanted(const Wanted& wanted) override {
    wanted_ = wanted;
    return {};
  }
  int fd() const override { return fd_.get(); }
  Result<std::span<const knell_event* const>> read(size_t count) override {
    events_.clear();
    cursors_.clear();
    pointers_.clear();
    if (wanted_.events == 0) return std::span(pointers_);
    // Returns a few events at a time, so that a test can act in the middle of the stream.
    for (size_t i = 0; i < std::min<size_t>(count, 20) && next_ <= count_; ++i, ++next_) {
      events_.push_back(exit_for_test(next_));
      events_.back().seq = static_cast<uint64_t>(next_);
      events_.back().time_ns = system_clock().realtime_ns();
      cursors_.push_back(std::to_string(next_));
      events_.back().cursor = {cursors_.back().data(), cursors_.back().size()};
    }
    for (const knell_event& event : events_) pointers_.push_back(&event);
    return std::span(pointers_);
  }
  Result<void> ack(const std::string& cursor) override {
    acked_ = std::stoull(cursor);
    return {};
  }
  uint64_t acked() const { return acked_; }
  const Wanted& wanted() const { return wanted_; }

 private:
  UniqueFd fd_;
  std::string id_ = "stream" + std::to_string(system_clock().monotonic_ns());
  int count_, next_ = 1;
  uint64_t acked_ = 0;
  Wanted wanted_;
  std::vector<knell_event> events_;
  std::deque<std::string> cursors_;
  std::vector<const knell_event*> pointers_;
};

inline ForwarderOptions forwarder_options(const std::string& host) {
  ForwarderOptions options;
  options.host = host;
  options.allowed = KNELL_EVENT_ALL;
  options.batch.events = 10;
  options.events_per_second = 0;
  return options;
}

// A forwarder with its connection, driven by the thread of the test.
struct Host {
  explicit Host(const std::string& url, ForwarderOptions options = forwarder_options("h1"),
                const std::function<void(ConnectOptions&)>& more = {},
                Clock& clock = system_clock()) {
    ConnectOptions to;
    to.servers = url;
    to.retry = true;
    to.inbox = "_INBOX_" + options.host;
    if (more) more(to);
    auto created = Connection::create(to);
    if (!created) {
      ADD_FAILURE() << created.error().message();
      std::abort();
    }
    connection = *std::move(created);
    forwarder =
        std::make_unique<Forwarder>(options, stream, *connection, clock,
                                    [this](const std::string& text) { log.push_back(text); });
    EXPECT_TRUE(forwarder->start());
  }
  bool logged(const std::string& text) const {
    return std::ranges::any_of(log, [&](const auto& line) { return line.contains(text); });
  }
  // Calls step() until done() is true. False: kPatience has passed.
  bool run_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      forwarder->step();
      if (done()) return true;
      if (std::chrono::steady_clock::now() > deadline) return false;
      pollfd ready[] = {{connection->wake_fd(), POLLIN, 0}, {stream.fd(), POLLIN, 0}};
      // The descriptor of the test's stream is always readable, so step() is called every few
      // milliseconds instead of polling it.
      (void)::poll(ready, 1, 5);
    }
  }

  NumberedExits stream;
  std::vector<std::string> log;
  std::unique_ptr<Connection> connection;
  std::unique_ptr<Forwarder> forwarder;
};

}  // namespace knell::fleet
