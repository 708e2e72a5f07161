// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "base/pid_map.h"
#include "base/pidfd.h"
#include "source/source.h"

namespace knell::source {

// Tells of the end of named processes, children or not, and needs no privilege; see pidfd.cc. One
// descriptor a process.
class PidfdSource : public Source {
 public:
  // Errors: EPROTONOSUPPORT before Linux 5.3, in words; EMFILE.
  static Result<std::unique_ptr<PidfdSource>> create(Clock& clock = system_clock());

  // From here on the sink hears of the end of `pid`, once, and of a zombie at the next drain.
  // `start` is field 22 of its /proc/PID/stat, against reuse of the pid; 0: whoever it is now.
  // Errors: ESRCH it is gone (or another process has its pid now), or is a thread and no process;
  // EINVAL not above 0; EEXIST; EMFILE, in words.
  [[nodiscard]] Result<void> add(int32_t pid, uint64_t start);
  // Errors: ENOENT it was not there. It leaves by itself when its end was told.
  [[nodiscard]] Result<void> remove(int32_t pid);
  size_t size() const { return processes_.size(); }

  [[nodiscard]] Result<void> want(const Wanted& wanted) override;  // nothing: exits are all it has
  int fd() const override { return epoll_.get(); }
  [[nodiscard]] Result<Drained> drain(Sink& sink, size_t bound) override;
  [[nodiscard]] Result<void> check_health(Sink& sink) override;  // always well
  Capabilities capabilities() const override;
  Counters counters() const override { return {.received = told_, .lost = 0, .healed = 0}; }

 private:
  struct Process {
    UniqueFd pidfd;
    uint64_t until_ns =
        0;  // dead, and its status not told before it is reaped: wait for that until
  };

  PidfdSource(UniqueFd epoll, UniqueFd timer, Clock& clock)
      : epoll_(std::move(epoll)), timer_(std::move(timer)), clock_(clock) {}

  bool on_ready(Sink& sink, int32_t pid, int pidfd);
  size_t on_timer(Sink& sink, size_t bound);
  void wait_for_reap(int32_t pid, Process& process);
  void tell(Sink& sink, int32_t pid, std::optional<int32_t> status);
  void forget(int32_t pid);
  void arm();

  UniqueFd epoll_, timer_;
  Clock& clock_;
  PidMap<Process> processes_;
  std::deque<std::pair<int32_t, uint64_t>> waiting_;  // until when; all wait equally long
  uint64_t told_ = 0;
};

}  // namespace knell::source
