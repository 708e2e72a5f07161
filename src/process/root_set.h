// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "filter/root.h"

namespace knell::process {

// The roots that `under` names, a bit for each. Not thread-safe.
class RootSet {
 public:
  static constexpr size_t kMost = 64;

  using Root = filter::Root;

  // Adds a root, which has its pid until `until_ns` or longer, and returns its bit; 0: there are
  // kMost roots already.
  uint64_t add(const Root& root, uint64_t until_ns) {
    auto at = std::ranges::find(roots_, Root(), &Followed::root);
    if (at == roots_.end()) {
      if (roots_.size() >= kMost) return 0;
      at = roots_.emplace(roots_.end());
    }
    *at = {root, until_ns};
    return uint64_t{1} << (at - roots_.begin());
  }
  // Removes all roots that are not in `roots`, and returns their bits.
  uint64_t keep_only(std::span<const Root> roots) {
    uint64_t dropped = 0;
    for (size_t i = 0; i < roots_.size(); ++i) {
      const Root& root = roots_[i].root;
      if (root.pid == 0 || std::ranges::find(roots, root) != roots.end()) continue;
      dropped |= uint64_t{1} << i;
      roots_[i] = {};
    }
    return dropped;
  }
  // The bit of a root; 0: it is no root.
  uint64_t bit_of(const Root& root) const {
    const auto at = std::ranges::find(roots_, root, &Followed::root);
    return root.pid <= 0 || at == roots_.end() ? 0 : uint64_t{1} << (at - roots_.begin());
  }
  // The bit of the root with this pid that the fork event with this stamp created: that event may
  // still be queued when the root is added. Of several processes with the pid it is the first that
  // had it at that time or later.
  uint64_t own_bit(int32_t pid, uint64_t stamp_ns) const {
    auto own = roots_.end();
    for (auto at = roots_.begin(); at != roots_.end(); ++at) {
      if (pid <= 0 || at->root.pid != pid || stamp_ns > at->until_ns) continue;
      if (own == roots_.end() || at->until_ns < own->until_ns) own = at;
    }
    return own == roots_.end() ? 0 : uint64_t{1} << (own - roots_.begin());
  }
  bool empty() const {
    return std::ranges::all_of(roots_, [](const Followed& one) { return one.root.pid == 0; });
  }

 private:
  struct Followed {
    Root root;  // pid 0: the bit is free
    uint64_t until_ns = 0;
  };
  std::vector<Followed> roots_;
};

}  // namespace knell::process
