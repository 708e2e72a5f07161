// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "event/namespace_pids.h"

namespace knell::process {

// The creation of a process or thread (a fork event), reported by a source that knows the child's
// pids in every pid namespace.
struct Birth {
  int32_t pid = 0, tid = 0;  // of the child
  uint64_t start = 0;        // clock ticks since boot
  uint32_t uid = 0;          // real
  uint64_t stamp_ns = 0;     // CLOCK_MONOTONIC
  // child_pid and child_tid of each level are those of the child. Valid during the call. Known and
  // empty: the child is in the initial namespace only.
  std::span<const event::NamespacePids> levels;
  bool levels_known = false;
};

// The births inside pid namespaces that another source reports.
class Births {
 public:
  virtual ~Births() = default;
  // Whether the other source reports births now.
  virtual bool reports_births() const = 0;
  struct Read {
    bool complete = false;  // all births inside pid namespaces up to now were passed
    bool lost = false;      // some births since the last call were lost
  };
  using PassBirth = std::function<void(const Birth&)>;
  // Passes each birth since the last call to `pass`.
  virtual Read read_births(const PassBirth& pass) = 0;
};

}  // namespace knell::process
