// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <knell/knell.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/patience.h"

namespace knell::test {

// A copy of an event that stays valid after the listener's next read.
struct Seen {
  knell_event raw;  // its pointers are invalid: use the strings below
  std::optional<std::string> comm, parent_comm, exe, cwd, user, cgroup, unit, container_id, tty,
      new_comm;
  std::optional<std::string> killer_comm, killer_parent_comm, killer_unit, killer_memory_cgroup,
      asker_comm, asker_parent_comm;
  std::optional<std::vector<std::string>> args;
  std::string json;  // set if Recorder::keep_json() was called

  uint32_t type() const { return raw.type; }
  pid_t pid() const { return raw.pid; }
  // The wait status, when it is known.
  std::optional<int> status() const {
    return (raw.has & KNELL_HAS_STATUS) != 0 ? std::optional<int>(raw.wait_status) : std::nullopt;
  }
  std::string text() const;  // one line, for the message of a failed test
};
std::string text_of(const std::vector<Seen>& events);

// A listener whose events are kept. It also checks opening, reading and that `seq` rises by one,
// and fails the test otherwise.
class Recorder {
 public:
  struct Wish {
    uint32_t events = KNELL_EVENT_ALL;
    uint32_t details = KNELL_DETAILS_FULL;
    int64_t latency_ns = KNELL_LATENCY_DEFAULT_NS;  // 0: no event is delayed
    uint32_t level = KNELL_LEVEL_PROCESS;
    size_t buffer_bytes = 0;
    std::vector<std::pair<std::string, std::string>> matches = {};
    bool only_added = false, recover = false;
    std::string via = "";  // empty: as $KNELL_TEST_VIA says, else the connector
  };
  explicit Recorder(const Wish& wish);

  bool ok() const { return static_cast<bool>(listener_); }
  Listener& listener() { return listener_; }
  const std::vector<Seen>& seen() const { return seen_; }
  void forget() { seen_.clear(); }
  bool keep_json = false;

  // Reads the events that are there now without waiting, at most `most` and one batch.
  void drain(size_t most = SIZE_MAX);
  // Reads until `done` is true, tested after each read; false when the deadline passes first.
  bool read_until(const std::function<bool()>& done, const Deadline& deadline = Deadline());
  // Reads until `other_fd` is readable (or its writer is gone).
  bool read_while_waiting_for(int other_fd, const Deadline& deadline = Deadline());
  // Reads until the exit of `pid` is among the events; false when it does not come. With `status`,
  // until an exit with that status came: another process may have had the pid before.
  bool read_until_exit_of(pid_t pid, std::optional<int> status = {});

  // The events of the child that had `pid`, without those of other processes that had the pid
  // before or after it (lives.h). A fork belongs to the child that it created.
  std::vector<Seen> of(pid_t pid) const;
  std::vector<Seen> of(pid_t pid, uint32_t type) const;
  std::vector<Seen> of_type(uint32_t type) const;

 private:
  void keep(const knell_event& event);

  Listener listener_;
  std::vector<Seen> seen_;
  uint64_t last_seq_ = 0;
  size_t judged_ = 0;  // read_until_exit_of: how much of seen_ it has checked
};

}  // namespace knell::test
