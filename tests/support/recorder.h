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

// An event that outlives its listener's next read: knell_event with its strings copied out.
struct Seen {
  knell_event raw;  // pointers in it are dead: use the strings below
  std::optional<std::string> comm, parent_comm, exe, cwd, user, cgroup, unit, container_id, tty,
      new_comm;
  std::optional<std::string> killer_comm, killer_parent_comm, killer_unit, killer_memory_cgroup,
      asker_comm, asker_parent_comm;
  std::optional<std::vector<std::string>> args;
  std::string json;  // only when asked for: Recorder::keep_json

  uint32_t type() const { return raw.type; }
  pid_t pid() const { return raw.pid; }
  // The wait status, when it is known.
  std::optional<int> status() const {
    return (raw.has & KNELL_HAS_STATUS) != 0 ? std::optional<int>(raw.wait_status) : std::nullopt;
  }
  std::string text() const;  // one line for a failed test
};
std::string text_of(const std::vector<Seen>& events);

// A listener whose events are kept. Opening, reading and the promise that `seq` rises by one are
// checked by the way, and fail the test when broken.
class Recorder {
 public:
  struct Wish {
    uint32_t events = KNELL_EVENT_ALL;
    uint32_t details = KNELL_DETAILS_FULL;
    int64_t latency_ns = KNELL_LATENCY_DEFAULT_NS;  // 0: every event at once
    uint32_t level = KNELL_LEVEL_PROCESS;
    size_t buffer_bytes = 0;
    std::vector<std::pair<std::string, std::string>> matches = {};
    bool only_added = false;
    std::string via = "";  // empty: as $KNELL_TEST_VIA says, else the connector
  };
  explicit Recorder(const Wish& wish);

  bool ok() const { return static_cast<bool>(listener_); }
  Listener& listener() { return listener_; }
  const std::vector<Seen>& seen() const { return seen_; }
  void forget() { seen_.clear(); }
  bool keep_json = false;

  // Takes what is there now, `most` events and one batch at the most, without waiting.
  void drain(size_t most = SIZE_MAX);
  // Reads until `done` holds, judged after each read; false when the deadline passes first.
  bool read_until(const std::function<bool()>& done, const Deadline& deadline = Deadline());
  // Reads until `other_fd` has something to read (or its writer is gone).
  bool read_while_waiting_for(int other_fd, const Deadline& deadline = Deadline());
  // Reads until the exit of `pid` is among the events; false when it never comes. With `status`,
  // until that one came: a pid may have been another's before.
  bool read_until_exit_of(pid_t pid, std::optional<int> status = {});

  // Those of the child with `pid`, not of others that had it before or after (lives.h); for a fork,
  // of the child.
  std::vector<Seen> of(pid_t pid) const;
  std::vector<Seen> of(pid_t pid, uint32_t type) const;
  std::vector<Seen> of_type(uint32_t type) const;

 private:
  void keep(const knell_event& event);

  Listener listener_;
  std::vector<Seen> seen_;
  uint64_t last_seq_ = 0;
  size_t judged_ = 0;  // read_until_exit_of: how much of seen_ it has looked at
};

}  // namespace knell::test
