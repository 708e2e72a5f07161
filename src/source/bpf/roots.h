// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/pid_scan.h"
#include "base/result.h"

namespace knell::source {

// The processes under each of some roots, as the programs know them: a map from pids to bits. Each
// root has a bit of its own as long as it is wanted; the bits that events tell follow the order in
// which the roots were last asked for.
class Roots {
 public:
  Roots(int map_fd, int departed_fd) : map_fd_(map_fd), departed_fd_(departed_fd) {}

  // Adds those of `wanted` that are new; what is under them now is found by look_under(). The
  // programs must be attached and told to keep the map before. Errors: EINVAL more than 64, in
  // words.
  [[nodiscard]] Result<void> add(const std::vector<int32_t>& wanted);
  // Looks at processes in /proc. Whether all is found.
  [[nodiscard]] Result<bool> look_under(ScanBudget& budget);
  // Forgets all others. From here on translate() follows this order.
  void keep(const std::vector<int32_t>& wanted);
  // What is under those is forgotten in pieces, to be called now and then.
  void forget_some(ScanBudget& budget);
  uint64_t translate(uint64_t bits) const;
  // A process is over; `start`: clock ticks since boot. For those that the programs do not see go.
  void gone(int32_t pid, uint64_t start);
  // Of a process that lives, or did a moment ago.
  uint64_t of(int32_t pid) const;

 private:
  int bit_of(int32_t root) const;
  int free_bit() const;
  Result<void> insert(int32_t pid, uint64_t bits);
  Result<bool> look_at(int32_t pid);
  bool forget(int32_t pid);

  int map_fd_, departed_fd_;
  // What is under new roots: a pass through /proc, and another one until it finds nobody.
  bool looking_ = false, found_ = false;
  int passes_ = 0;
  PidScan pass_;
  std::array<int32_t, 64> roots_{};  // by bit; 0: free, unless it is being forgotten
  uint64_t forgetting_ = 0;          // bits that some may still have
  std::optional<int32_t> next_;      // of the map; none: from its first
  bool some_had_ = false;            // in this pass
  std::vector<int32_t> order_;
  std::array<int, 64> position_{};  // by bit, in order_; -1: not there
};

}  // namespace knell::source
