// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <knell/knell.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "client/connection_to_server.h"
#include "filter/predicate_for_test.h"
#include "support/patience.h"
#include "wire/event.h"

namespace knell::test {

struct ReceivedEvent {
  uint32_t type = 0;
  uint64_t stamp_ns = 0;
  int32_t pid = 0;     // FORK: the child
  int32_t ppid = 0;    // FORK: the parent
  int32_t status = 0;  // EXIT
  std::optional<uint32_t> uid;
  std::string args;
};
// The key by which the events of a test's children are counted.
using Key = std::tuple<int32_t, uint32_t, int32_t>;  // pid, type, status
using Keys = std::map<Key, int>;                     // the number of events with each key

// A child that was created, has ended and was reaped. On a busy machine all pids are reused within
// two seconds, also by other children of this process: the times say which events are of this
// child.
struct Life {
  pid_t pid = 0;
  bool executed = false;
  int status = 0;
  uint64_t from_ns = 0, until_ns = 0;  // CLOCK_MONOTONIC
};

inline constexpr uint32_t kLives = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;

// A client of a daemon that speaks the protocol without libknell, and keeps the events it received.
// It reads only when a test calls it. Failures fail the test.
class WireListener {
 public:
  // Connects as the current user of this process.
  explicit WireListener(const std::string& socket);
  WireListener(const std::string& socket, const filter::Subscription& asked)
      : WireListener(socket) {
    const Result<void> done = subscribe(asked);
    EXPECT_TRUE(done) << done.error().message();
  }

  Result<void> subscribe(const filter::Subscription& asked);
  // Reads the available bytes; false once the connection is over.
  bool take();
  // Reads until `done` is true; false when the deadline passes or the connection ends first.
  bool take_until(const std::function<bool()>& done);
  // Reads until all events that were queued for it have arrived.
  bool take_all();
  // Reads until all events of this process, which executed a program, have arrived.
  bool take_life(const Life& life);
  // The events of these processes only.
  Keys keys_of(const std::vector<pid_t>& pids) const;
  Keys keys_of(const std::vector<Life>& lives) const;

  client::ConnectionToServer& connection() { return connection_; }
  const std::vector<ReceivedEvent>& received() const { return received_; }
  uint64_t lost() const { return lost_; }
  const std::string& bytes() const { return bytes_; }  // all received bytes, with keep_bytes()
  void keep_bytes() { keeps_bytes_ = true; }
  const std::optional<Error>& over() const { return over_; }

 private:
  void receive(const wire::Frame& frame);

  client::ConnectionToServer connection_;
  std::vector<char> buffer_;
  std::vector<ReceivedEvent> received_;
  uint64_t lost_ = 0;
  bool keeps_bytes_ = false;
  std::string bytes_;
  std::optional<Error> over_;
};

// Subscribes to the events of this process and its descendants only, since other processes come and
// go and pids are reused.
filter::Subscription lives(uint32_t mask = kLives, uint32_t details = KNELL_DETAILS_STATUS);

// Creates children, some of which execute true or false, and exit with statuses from 0 to 4.
std::vector<Life> live_and_die(int count);
// The events of these processes that a subscription of lives() receives.
Keys keys_of(const std::vector<Life>& all);
// A process that is created after everything before: a listener that received all its events has
// received all earlier events.
Life sentinel();

// While this object exists this process has that uid and gid; root again afterwards.
class AsUser {
 public:
  explicit AsUser(uid_t uid, gid_t gid = 65534);
  ~AsUser();
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
};
inline constexpr uid_t kNobody = 65534;

}  // namespace knell::test
