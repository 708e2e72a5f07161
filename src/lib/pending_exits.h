// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "base/unique_fd.h"

namespace knell::lib {

// Added processes that were found dead before their exit was received: when the daemon acked the
// request to add them, or after a loss. The daemon may still report the exit. If it does not within
// a grace period, the listener must synthesize the exit, with the status that can still be read.
// A process is named by its pid and its start, 0: unknown.
class PendingExits {
 public:
  enum class When : uint8_t {
    kNow,
    kLost  // its event was lost: there was no connection to the daemon, or a lost event counts it
  };
  struct Exit {
    int32_t pid;
    uint64_t start;
    When when;
    std::optional<int32_t> wait_status;
  };

  // `pidfd`: of this process, or empty (no descriptor). `until_ns`: not before that of the last
  // call. Does nothing if the exit is expected already.
  void expect(int32_t pid, uint64_t start, UniqueFd pidfd, When when, uint64_t until_ns);
  // The exit was reported, or is no longer wanted: forgets the process.
  void remove(int32_t pid, uint64_t start);
  bool has(int32_t pid, uint64_t start) const { return expected_.contains({pid, start}); }
  // The end of the earliest grace period; 0: there is none.
  uint64_t due_ns() const { return order_.empty() ? 0 : order_.front().until_ns; }
  // Removes and returns a process whose grace period has ended.
  std::optional<Exit> take(uint64_t now_ns);

 private:
  using Key = std::pair<int32_t, uint64_t>;
  struct Expected {
    Exit exit;  // has the status that the pidfd or /proc showed when expect() was called
    UniqueFd pidfd;
    uint64_t until_ns;
  };
  struct Due {
    uint64_t until_ns;
    Key key;
  };
  // Whether this process was not removed since.
  bool is_expected(const Due& due) const;

  std::map<Key, Expected> expected_;  // usually empty
  std::deque<Due> order_;  // by time; the first one is expected, later ones may have been removed
  size_t descriptors_ = 0;
};

}  // namespace knell::lib
