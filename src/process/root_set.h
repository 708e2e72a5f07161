// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace knell::process {

// The roots that `under` names, a bit for each. Not thread-safe.
class RootSet {
 public:
  static constexpr size_t kMost = 64;

  // Adds the process that has the pid `root` at `now_ns`, and returns its bit; 0: there are kMost
  // roots already.
  uint64_t add(int32_t root, uint64_t now_ns) {
    auto at = std::ranges::find(roots_, 0, &Root::pid);
    if (at == roots_.end()) {
      if (roots_.size() >= kMost) return 0;
      at = roots_.emplace(roots_.end());
    }
    *at = {root, now_ns};
    return uint64_t{1} << (at - roots_.begin());
  }
  // Removes all roots that are not in `roots`, and returns their bits.
  uint64_t keep_only(std::span<const int32_t> roots) {
    uint64_t dropped = 0;
    for (size_t i = 0; i < roots_.size(); ++i) {
      if (roots_[i].pid == 0 || std::ranges::find(roots, roots_[i].pid) != roots.end()) continue;
      dropped |= uint64_t{1} << i;
      roots_[i] = {};
    }
    return dropped;
  }
  // The bit of a root; 0: it is no root.
  uint64_t bit_of(int32_t root) const {
    const auto at = std::ranges::find(roots_, root, &Root::pid);
    return root <= 0 || at == roots_.end() ? 0 : uint64_t{1} << (at - roots_.begin());
  }
  // The bit of root `pid` if the fork event with this stamp created it: that event may still be
  // queued when the root is added.
  uint64_t own_bit(int32_t pid, uint64_t stamp_ns) const {
    const auto at = std::ranges::find(roots_, pid, &Root::pid);
    const bool own = pid > 0 && at != roots_.end() && stamp_ns <= at->since_ns;
    return own ? uint64_t{1} << (at - roots_.begin()) : 0;
  }
  bool empty() const {
    return std::ranges::all_of(roots_, [](const Root& root) { return root.pid == 0; });
  }

 private:
  struct Root {
    int32_t pid = 0;  // 0: the bit is free
    uint64_t since_ns = 0;
  };
  std::vector<Root> roots_;
};

}  // namespace knell::process
