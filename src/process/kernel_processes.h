// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "base/pid_list.h"
#include "base/unique_fd.h"

namespace knell::process {

// The processes as the kernel shows them now. A seam: tests simulate a machine.
class KernelProcesses {
 public:
  virtual ~KernelProcesses() = default;

  struct State {
    uint64_t start = 0;  // clock ticks since boot
    int32_t ppid = 0;
    bool ended = false;     // all its threads have exited; it is not reaped yet
    bool executed = false;  // it has called exec since it was forked
  };
  // nullopt: no process has this pid, or it cannot be read.
  virtual std::optional<State> state_of(int32_t pid) = 0;

  // Begins a list of all pids, in no order; next_pid() returns 0 at its end.
  virtual void begin_list() = 0;
  virtual int32_t next_pid() = 0;
  // Whether the list ended early, because it could not be read.
  virtual bool list_failed() const = 0;

  // A descriptor of this process, by which status_of() finds its status later; empty: not possible.
  virtual UniqueFd open(int32_t pid) = 0;
  // The wait status of a process that has ended; nullopt: unknown.
  virtual std::optional<int32_t> status_of(int32_t pid, const UniqueFd& pidfd) = 0;
};

// The processes in /proc.
class LiveKernelProcesses final : public KernelProcesses {
 public:
  std::optional<State> state_of(int32_t pid) override;
  void begin_list() override { list_.emplace(); }
  int32_t next_pid() override { return list_ ? list_->next() : 0; }
  bool list_failed() const override { return !list_ || list_->failed(); }
  UniqueFd open(int32_t pid) override;
  std::optional<int32_t> status_of(int32_t pid, const UniqueFd& pidfd) override;

 private:
  std::optional<PidList> list_;
};

}  // namespace knell::process
