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

// Reports the end of the processes given to add(), which need not be children; see pidfd.cc. Needs
// no privilege. Uses one descriptor a process.
class PidfdSource : public Source {
 public:
  // Errors: EPROTONOSUPPORT before Linux 5.3, with an explanation; EMFILE.
  static Result<std::unique_ptr<PidfdSource>> create(Clock& clock = system_clock());

  // Watches `pid`: its end is reported once to the sink of drain(). If it is a zombie already, the
  // next drain reports it. `start` is field 22 of its /proc/PID/stat, in clock ticks since boot: it
  // detects that the pid was reused. 0: accepts any process that has the pid now.
  // Errors: ESRCH the process is gone (or another one has its pid now), or `pid` is a thread that
  // is not the leader of its process; EINVAL `pid` is not above 0; EEXIST; EMFILE, with an
  // explanation.
  [[nodiscard]] Result<void> add(int32_t pid, uint64_t start);
  // Errors: ENOENT it is not watched. A process is removed automatically when its end is reported.
  [[nodiscard]] Result<void> remove(int32_t pid);
  size_t size() const { return processes_.size(); }

  // set_request() and check_health() do nothing: the source reports exits only, and cannot fail
  // silently.
  [[nodiscard]] Result<void> set_request(const SourceRequest& wanted) override;
  int fd() const override { return epoll_.get(); }
  [[nodiscard]] Result<Drained> drain(Sink& sink, size_t bound) override;
  [[nodiscard]] Result<void> check_health(Sink& sink) override;
  Capabilities capabilities() const override;
  Counters counters() const override { return {.received = reported_, .lost = 0, .repaired = 0}; }

 private:
  struct Process {
    UniqueFd pidfd;
    uint64_t until_ns =
        0;  // not 0: it is dead; its end is reported when it is reaped, at this time at the latest
  };

  PidfdSource(UniqueFd epoll, UniqueFd timer, Clock& clock)
      : epoll_(std::move(epoll)), timer_(std::move(timer)), clock_(clock) {}

  bool on_ready(Sink& sink, int32_t pid, int pidfd);
  size_t on_timer(Sink& sink, size_t bound);
  void wait_for_reap(int32_t pid, Process& process);
  void report(Sink& sink, int32_t pid, std::optional<int32_t> status);
  void forget(int32_t pid);
  void arm();

  UniqueFd epoll_, timer_;
  Clock& clock_;
  PidMap<Process> processes_;
  // Pid and until_ns of the processes that wait to be reaped, in the order of until_ns.
  std::deque<std::pair<int32_t, uint64_t>> waiting_;
  uint64_t reported_ = 0;
};

}  // namespace knell::source
