// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dirent.h>

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

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
  // Looks at so many entries of /proc. Whether all is found.
  [[nodiscard]] Result<bool> look_under(size_t most);
  // Forgets all others. From here on translate() follows this order.
  void keep(const std::vector<int32_t>& wanted);
  uint64_t translate(uint64_t bits) const;
  // A process is over; `start`: clock ticks since boot. For those that the programs do not see go.
  void gone(int32_t pid, uint64_t start);
  // Of a process that lives, or did a moment ago.
  uint64_t of(int32_t pid) const;

 private:
  int bit_of(int32_t root) const;
  Result<void> insert(int32_t pid, uint64_t bits);
  Result<bool> look_at(int32_t pid);
  void clear_bits(uint64_t bits);

  using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

  int map_fd_, departed_fd_;
  // What is under new roots: a pass through /proc, and another one until it finds nobody.
  bool looking_ = false, found_ = false;
  int passes_ = 0;
  Directory proc_{nullptr, &::closedir};
  std::array<int32_t, 64> roots_{};  // by bit; 0: free
  std::vector<int32_t> order_;
  std::array<int, 64> position_{};  // by bit, in order_; -1: not there
};

}  // namespace knell::source
