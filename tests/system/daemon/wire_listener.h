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

struct Heard {
  uint32_t type = 0;
  uint64_t stamp_ns = 0;
  int32_t pid = 0;     // FORK: the child
  int32_t ppid = 0;    // FORK: the parent
  int32_t status = 0;  // EXIT
  std::optional<uint32_t> uid;
  std::string args;
};
// The key by which events of own children are distinguished.
using Key = std::tuple<int32_t, uint32_t, int32_t>;  // pid, type, status
using Keys = std::map<Key, int>;                     // with the number of such events

// A child that lived and died, and was reaped. On a busy machine all pids are in use again within
// two seconds, also by other children of this process: the times say which events are of this one.
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
  // Reads until all events that were queued for it have come.
  bool take_all();
  // Reads until the whole life of an executed process has come.
  bool take_life(const Life& life);
  // Of these processes only.
  Keys keys_of(const std::vector<pid_t>& pids) const;
  Keys keys_of(const std::vector<Life>& lives) const;

  client::ConnectionToServer& connection() { return connection_; }
  const std::vector<Heard>& heard() const { return heard_; }
  uint64_t lost() const { return lost_; }
  const std::string& bytes() const { return bytes_; }  // all received bytes, with keep_bytes()
  void keep_bytes() { keeps_bytes_ = true; }
  const std::optional<Error>& over() const { return over_; }

 private:
  void hear(const wire::Frame& frame);

  client::ConnectionToServer connection_;
  std::vector<char> buffer_;
  std::vector<Heard> heard_;
  uint64_t lost_ = 0;
  bool keeps_bytes_ = false;
  std::string bytes_;
  std::optional<Error> over_;
};

// The events of this process and its descendants: other processes come and go, and pids are reused.
filter::Subscription lives(uint32_t mask = kLives, uint32_t details = KNELL_DETAILS_STATUS);

// Some children that execute true or false, and some that do not execute, with statuses from 0 to
// 4.
std::vector<Life> live_and_die(int count);
// The events that a listener for all lives receives of them.
Keys keys_of(const std::vector<Life>& all);
// A process that is executed after all that was before: a listener that received its whole life has
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
