// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// How a program under `knell compat --direct` sees requests with a mask: on every kernel as on
// Linux 6.6. Run by tests/vm and tests/compat.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "event/cn_message.h"
#include "filter/rule.h"
#include "source/connector/receiver.h"
#include "source/connector/socket.h"
#include "support/child.h"
#include "support/needs.h"

namespace knell::test {
namespace {

constexpr uint32_t kNonzero = KNELL_EVENT_NONZERO_EXIT;

std::string not_under_compat() {
  return std::getenv("KNELL_COMPAT_DIRECT") != nullptr ? "" : "runs under knell compat --direct";
}

pid_t run(int status);

class Client {
 public:
  Client() {
    auto fd = source::open_connector();
    KNELL_CHECK(fd.has_value());
    fd_ = *std::move(fd);
    source::size_buffer(fd_.get(), 4U << 20);
    KNELL_CHECK(source::join_events(fd_.get()).has_value());
  }

  void ask(uint32_t op, std::optional<uint32_t> mask, uint32_t nonce = 0) const {
    EXPECT_EQ(source::send_request(fd_.get(), op, mask, nonce), 0);
  }

  // Reads until the exit of a process that was forked and died after all earlier events.
  void read_all() {
    ask(KNELL_MCAST_LISTEN, KNELL_EVENT_ALL, 1);
    read_until_exit_of(run(0));
  }
  void read_until_exit_of(pid_t pid) {
    for (const Deadline deadline; !exits_.contains(pid) && !deadline.passed();) {
      pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      ::poll(&ready, 1, 100);
      drain();
    }
    EXPECT_TRUE(exits_.contains(pid));
  }
  void drain() {
    source::Receiver receiver;
    while (receiver.fill(fd_.get()) == source::Receiver::Fill::kSome) {
      while (const auto raw = receiver.next()) {
        if (raw->what == KNELL_EVENT_NONE) acks_[raw->u.ack.ack].push_back(raw->u.ack.err);
        if (raw->what == KNELL_EVENT_EXIT) exits_[raw->pid] = raw->u.exit.code;
        if (raw->what == KNELL_EVENT_FORK) forks_.push_back(raw->pid);
      }
    }
  }

  bool received_exit(pid_t pid) const { return exits_.contains(pid); }
  bool received_fork(pid_t pid) const { return std::ranges::count(forks_, pid) != 0; }
  const std::map<uint32_t, std::vector<uint32_t>>& acks() const { return acks_; }

 private:
  UniqueFd fd_;
  std::map<pid_t, uint32_t> exits_;
  std::vector<pid_t> forks_;
  std::map<uint32_t, std::vector<uint32_t>> acks_;
};

// Runs a process to its end. Returns when another client has received its exit: the kernel may send
// that after the process was reaped, and then a later request of the test would apply to it.
pid_t run(int status) {
  Client other;
  other.ask(KNELL_MCAST_LISTEN, KNELL_EVENT_EXIT);
  Child child = Child::fork([status] { return status; });
  const pid_t pid = child.pid();
  EXPECT_TRUE(child.wait().has_value());
  other.read_until_exit_of(pid);
  other.ask(KNELL_MCAST_IGNORE, std::nullopt);
  return pid;
}

// The first test, since a kernel with the filter counts a LISTEN after an invalid request once
// more.
TEST(CompatDirect, TheKernelCountsAListenerOnce) {
  KNELL_NEEDS(not_under_compat());
  KNELL_NEEDS(only_in_vm());  // on other machines other processes may send requests, too
  const Client client;
  const auto is_counted = [] {
    Client prober;  // sends requests as a program for old kernels does, so the shim passes them on
    prober.ask(source::kInvalidOp, std::nullopt, 500);
    prober.drain();
    return prober.acks().contains(501);
  };
  if (is_counted()) GTEST_SKIP() << "another listener has raised the count for good";
  for (int i = 0; i < 3; ++i) client.ask(KNELL_MCAST_LISTEN, KNELL_EVENT_EXIT);
  EXPECT_TRUE(is_counted());
  client.ask(KNELL_MCAST_IGNORE, KNELL_EVENT_EXIT);
  EXPECT_FALSE(is_counted()) << "counted more than once";
  for (int i = 0; i < 2; ++i) client.ask(KNELL_MCAST_IGNORE, KNELL_EVENT_EXIT);
  client.ask(KNELL_MCAST_LISTEN, KNELL_EVENT_EXIT);
  EXPECT_TRUE(is_counted()) << "an IGNORE too many was counted";
  client.ask(KNELL_MCAST_IGNORE, std::nullopt);
}

TEST(CompatDirect, AMaskIsAFilter) {
  KNELL_NEEDS(not_under_compat());
  Client client;
  client.ask(KNELL_MCAST_LISTEN, kNonzero);
  const pid_t zero = run(0), seven = run(7);
  client.read_all();
  EXPECT_FALSE(client.received_exit(zero));
  EXPECT_FALSE(client.received_fork(seven));
  EXPECT_TRUE(client.received_exit(seven));
  client.ask(KNELL_MCAST_IGNORE, std::nullopt);
}

TEST(CompatDirect, AnotherMaskReplacesIt) {
  KNELL_NEEDS(not_under_compat());
  Client client;
  client.ask(KNELL_MCAST_LISTEN, kNonzero);
  client.ask(KNELL_MCAST_LISTEN, uint32_t{KNELL_EVENT_FORK});
  const pid_t born = run(7);
  client.ask(KNELL_MCAST_LISTEN, std::nullopt);
  const pid_t all = run(0);
  client.read_all();
  EXPECT_TRUE(client.received_fork(born));
  EXPECT_FALSE(client.received_exit(born));
  EXPECT_TRUE(client.received_fork(all));
  EXPECT_TRUE(client.received_exit(all));
  client.ask(KNELL_MCAST_IGNORE, std::nullopt);
}

TEST(CompatDirect, IgnoreStopsEvents) {
  KNELL_NEEDS(not_under_compat());
  const Client other;  // a second listener, so that the kernel keeps sending events
  other.ask(KNELL_MCAST_LISTEN, KNELL_EVENT_ALL);
  Client client;
  client.ask(KNELL_MCAST_LISTEN, KNELL_EVENT_EXIT);
  client.ask(KNELL_MCAST_IGNORE, KNELL_EVENT_EXIT);
  const pid_t seven = run(7);
  client.read_all();
  EXPECT_FALSE(client.received_exit(seven));
  client.ask(KNELL_MCAST_IGNORE, std::nullopt);
  other.ask(KNELL_MCAST_IGNORE, std::nullopt);
}

TEST(CompatDirect, AnInvalidRequestSetsTheMask) {
  KNELL_NEEDS(not_under_compat());
  Client client;
  client.ask(KNELL_MCAST_LISTEN, KNELL_EVENT_EXIT);
  client.ask(source::kInvalidOp, kNonzero, 40);
  const pid_t zero = run(0), seven = run(7);
  client.read_all();
  EXPECT_FALSE(client.received_exit(zero));
  EXPECT_TRUE(client.received_exit(seven));
  // A kernel with the filter does not send the ack to a filtered listener.
  const auto ack = client.acks().find(41);
  if (ack != client.acks().end()) {
    EXPECT_EQ(ack->second, std::vector<uint32_t>{EINVAL});
  }
  client.ask(KNELL_MCAST_IGNORE, std::nullopt);
}

TEST(CompatDirect, EveryListenIsAckedOnceAndNothingElseIs) {
  KNELL_NEEDS(not_under_compat());
  KNELL_NEEDS(only_in_vm());  // on other machines other processes may send requests, too
  Client client;
  for (const uint32_t nonce : {100U, 200U, 300U}) {
    client.ask(KNELL_MCAST_LISTEN, KNELL_EVENT_ALL, nonce);
  }
  client.drain();
  const std::map<uint32_t, std::vector<uint32_t>> expected{{101, {0}}, {201, {0}}, {301, {0}}};
  EXPECT_EQ(client.acks(), expected);
  client.ask(KNELL_MCAST_IGNORE, std::nullopt);
}

}  // namespace
}  // namespace knell::test
