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
  int32_t pid = 0;     // FORK: the child
  int32_t ppid = 0;    // FORK: who forked
  int32_t status = 0;  // EXIT
  std::optional<uint32_t> uid;
  std::string args;
};
// What tells events of own children apart.
using Key = std::tuple<int32_t, uint32_t, int32_t>;  // pid, type, status
using Keys = std::map<Key, int>;                     // and how many there were

inline constexpr uint32_t kLives = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;

// A listener of a daemon, as bytes come: it does not read by itself. Failures fail the test.
class WireListener {
 public:
  // As whoever this process is now.
  explicit WireListener(const std::string& socket);
  WireListener(const std::string& socket, const filter::Subscription& asked)
      : WireListener(socket) {
    const Result<void> done = subscribe(asked);
    EXPECT_TRUE(done) << done.error().message();
  }

  Result<void> subscribe(const filter::Subscription& asked);
  // Takes what has come; false once the connection is over.
  bool take();
  // Until that is true of it; false, when the patience ends or the connection does.
  bool take_until(const std::function<bool()>& done);
  // Until all that was queued for it has come.
  bool take_all();
  // Until the whole life of a process that was executed has come.
  bool take_life(pid_t pid);
  // Of those processes only.
  Keys keys_of(const std::vector<pid_t>& pids) const;

  client::ConnectionToServer& connection() { return connection_; }
  const std::vector<Heard>& heard() const { return heard_; }
  uint64_t lost() const { return lost_; }
  const std::string& bytes() const { return bytes_; }  // all that came, with keep_bytes()
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

// Of what this process and its descendants do: others come and go, and pids come round.
filter::Subscription lives(uint32_t mask = kLives, uint32_t details = KNELL_DETAILS_STATUS);

// A child that lived and died, and was waited for.
struct Life {
  pid_t pid = 0;
  bool executed = false;
  int status = 0;
};
std::vector<pid_t> pids_of(const std::vector<Life>& all);
// Some that execute true or false, and some that do not, with statuses from 0 to 4.
std::vector<Life> live_and_die(int count);
// What who hears of all lives is told of them.
Keys keys_of(const std::vector<Life>& all);
// One that is executed, after all that was before: who has heard of its whole life has heard all.
pid_t sentinel();

// While it lives this process is that user, and its own group; root again afterwards.
class AsUser {
 public:
  explicit AsUser(uid_t uid, gid_t gid = 65534);
  ~AsUser();
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
};
inline constexpr uid_t kNobody = 65534;

}  // namespace knell::test
