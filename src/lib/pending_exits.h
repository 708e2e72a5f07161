// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/unique_fd.h"

namespace knell::lib {

// Processes that were found dead when the daemon had just been told of them. If it was told in
// time their exit comes from there; of what has not come within a grace, the exit is to be made
// here, with the status that is still to be had.
class PendingExits {
 public:
  enum class When : uint8_t {
    kNow,
    kInAGap  // nobody listened then
  };
  struct Death {
    int32_t pid;
    When when;
    std::optional<int32_t> wait_status;
  };

  // `pidfd` may be empty.
  void expect(int32_t pid, UniqueFd pidfd, When when, uint64_t until_ns);
  // Its exit came, or nobody wants it any more.
  void settled(int32_t pid);
  bool empty() const { return expected_.empty(); }
  // When the first one's grace ends; 0: there is none.
  uint64_t due_ns() const;
  // One whose grace is over.
  std::optional<Death> take(uint64_t now_ns);

 private:
  struct Expected {
    Death death;  // the status as /proc had it, before it was reaped
    UniqueFd pidfd;
    uint64_t until_ns;
  };
  std::vector<Expected> expected_;  // mostly none
};

}  // namespace knell::lib
