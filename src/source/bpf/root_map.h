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
#include "filter/root.h"

namespace knell::source {

// The processes under each root, in the map of the programs from pids to bits. Each root has a bit
// of its own in the map as long as it is wanted. translate() converts these bits to those of
// events, which follow the order of the roots in the last keep(). Not thread-safe.
class RootMap {
 public:
  using Root = filter::Root;

  explicit RootMap(int map_fd) : map_fd_(map_fd) {}

  // Adds the roots in `wanted` that are new; scan_under() finds the processes under them. Before,
  // the programs must be attached, and knell_settings::roots set. Errors: EINVAL more than 64
  // roots, with an explanation.
  [[nodiscard]] Result<void> add(const std::vector<Root>& wanted);
  // Scans processes in /proc. Call it until it returns true: then all processes are found.
  [[nodiscard]] Result<bool> scan_under(ScanBudget& budget);
  // Removes all roots that are not in `wanted`. From here on translate() uses this order.
  void keep(const std::vector<Root>& wanted);
  // Removes the bits of removed roots from the map, in pieces. Call it regularly.
  void forget_some(ScanBudget& budget);
  uint64_t translate(uint64_t bits) const;
  // The bits of a process, for translate(); nullopt: it is under no root.
  std::optional<uint64_t> bits_of(int32_t pid) const;
  // The state for a process that takes over the map.
  struct Saved {
    std::array<Root, 64> roots;
    uint64_t forgetting;
  };
  Saved save() const { return {roots_, forgetting_}; }
  void restore(const Saved& saved) {
    roots_ = saved.roots;
    forgetting_ = saved.forgetting;
  }
  // Removes a process whose end the programs do not report. `start`: clock ticks since boot.
  void remove_ended(int32_t pid, uint64_t start);

 private:
  int bit_of(const Root& root) const;
  int free_bit() const;
  Result<void> insert(const Root& process, uint64_t bits);
  bool add_children(int proc, int32_t root, uint64_t bits);
  Result<bool> check(int32_t pid);
  bool remove(int32_t pid, uint64_t bits);

  int map_fd_;
  // The search under new roots: passes through /proc, until a pass finds no new process.
  bool scanning_ = false, found_ = false;
  int passes_ = 0;
  PidScan pass_;
  // The root of each bit; pid 0: unused, and free if not in forgetting_
  std::array<Root, 64> roots_{};
  uint64_t forgetting_ = 0;      // bits of removed roots, which processes may still have
  std::optional<int32_t> next_;  // next key of the map to visit; nullopt: the first
  bool some_had_ = false;        // this pass found a process that still had such a bit
  std::vector<Root> order_;
  std::array<int, 64> position_{};  // for each bit its index in order_; -1: none
};

}  // namespace knell::source
