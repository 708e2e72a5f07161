// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "process/timebase.h"
#include "source/connector/exit_tracker.h"

namespace knell::source {

// Probes processes through pidfds and /proc. Watched pidfds are added to the listener's epoll set,
// with the pid as data (the low 32 bits; the listener's own descriptors have higher ones). `clock`
// must outlive it.
class LiveProcessProbe : public source::ProcessProbe {
 public:
  LiveProcessProbe(int epoll, const Clock& clock) : epoll_(epoll), clock_(clock) {}
  Sign probe(int32_t pid, uint64_t before_ns, UniqueFd& pidfd) override;
  std::optional<int32_t> status(int32_t pid, const UniqueFd& pidfd) override;
  bool watch(int32_t pid, int pidfd) override;
  bool exists(int32_t pid) override;

 private:
  bool is_another(int32_t pid, uint64_t before_ns) const;
  int epoll_;
  const Clock& clock_;
};

}  // namespace knell::source
