// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/unique_fd.h"

namespace knell::lib {

// Processes that were already dead when the daemon acked the request to add them. If the request
// was early enough, the daemon reports their exit. If it does not within a grace period, the
// listener must synthesize the exit, with the status that can still be read.
class PendingExits {
 public:
  enum class When : uint8_t {
    kNow,
    kWhileDisconnected  // while there was no connection to the daemon
  };
  struct Exit {
    int32_t pid;
    When when;
    std::optional<int32_t> wait_status;
  };

  // `pidfd` may be empty (no descriptor).
  void expect(int32_t pid, UniqueFd pidfd, When when, uint64_t until_ns);
  // The exit was reported, or is no longer wanted: forgets the process.
  void remove(int32_t pid);
  bool empty() const { return expected_.empty(); }
  // The end of the earliest grace period; 0: there is none.
  uint64_t due_ns() const;
  // Removes and returns a process whose grace period has ended.
  std::optional<Exit> take(uint64_t now_ns);

 private:
  struct Expected {
    Exit exit;  // has the status that the pidfd or /proc showed when expect() was called
    UniqueFd pidfd;
    uint64_t until_ns;
  };
  std::vector<Expected> expected_;  // usually empty
};

}  // namespace knell::lib
