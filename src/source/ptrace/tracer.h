// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "source/ptrace/event_ring.h"
#include "source/ptrace/trace_loop.h"
#include "source/ptrace/traced_event.h"

namespace knell::source {

// Traces one process and all that it forks from then on, and hands out what they did. For any user,
// in any container, on any kernel that has ptrace(2); each event costs the traced process several
// context switches.
//
// The tracer is a process of its own, a forked child of the caller, not a thread: see tracer.cc. It
// ends with the Tracer, when no traced process is left, or when the thread that called create()
// ends. Whenever and however it ends, the traced processes go on untraced.
//
//   create() --> traces --(no process is left | release() | the tracer was killed)--> ended()
//
// Not thread-safe. A forked child must not use it, but may destroy it: its parent traces on.
class Tracer {
 public:
  struct Options {
    TraceLoop::Options details{};
    size_t queue_bytes = size_t{1} << 20;  // chosen, not measured: several thousand events
  };

  // How the tracing ended.
  enum class End {
    kNot,
    kAllEnded,  // no traced process is left
    kReleased,  // release(); the processes that were left got kReleased events
    kKilled     // the tracer died: processes may be left, of which no event comes
  };

  // Returns when `pid` is traced. Errors: EPERM it is traced already, belongs to another user, or
  // this system forbids it (kernel.yama.ptrace_scope, a seccomp filter); ENOSYS a seccomp filter
  // hides ptrace(2); ESRCH no such process; ENOTSUP the caller's children are born in another pid
  // namespace than its own, or /proc is that of another pid namespace.
  static Result<std::unique_ptr<Tracer>> create(pid_t pid, const Options& options);
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;
  ~Tracer();

  // Readable when next() has something to return or ended() changes. It may also be readable when
  // neither is so.
  int fd() const { return poll_.get(); }
  // The next event; its views are valid until the next call. nullopt: none now. Never blocks.
  std::optional<TracedEvent> next();
  // Valid after next() returned nullopt.
  End ended() const { return end_; }
  // The traced processes that live, as far as the tracer knows now.
  uint64_t live() const { return ring_.live(); }
  // The process that traces; it is in a session of its own.
  pid_t tracer_pid() const { return tracer_; }

  // Lets go of all processes: afterwards next() returns a kReleased event for each that is left, if
  // there is room in the queue, and then ended() is kReleased. Returns after at most a second.
  void release();

 private:
  Tracer(EventRing ring, UniqueFd wake, UniqueFd alive, UniqueFd poll, UniqueFd process,
         pid_t tracer)
      : ring_(std::move(ring)),
        wake_(std::move(wake)),
        alive_(std::move(alive)),
        poll_(std::move(poll)),
        process_(std::move(process)),
        tracer_(tracer),
        owner_(::getpid()) {}
  // Readable when the tracer is gone. Its pidfd is so when the kernel has detached its tracees, the
  // pipe a little earlier.
  int end_fd() const { return process_ ? process_.get() : alive_.get(); }
  bool gone() const;
  void signal_tracer(int signal) const;

  EventRing ring_;
  UniqueFd wake_;     // an eventfd
  UniqueFd alive_;    // the read end of a pipe that only the tracer can write to
  UniqueFd poll_;     // an epoll of `wake_` and end_fd()
  UniqueFd process_;  // a pidfd of the tracer; none on kernels before 5.3
  pid_t tracer_;
  pid_t owner_;  // the tracer is a child of this process
  End end_ = End::kNot;
};

}  // namespace knell::source
