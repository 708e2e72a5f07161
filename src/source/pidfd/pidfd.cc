// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/pidfd/pidfd.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <string>
#include <string_view>

#include "base/proc_stat.h"
#include "base/thread_of.h"
#include "base/time_namespace.h"

// A process is over when its pidfd becomes readable: all its threads are dead, its memory and
// descriptors are given back, its parent has been told. Its status comes from the first of these
// that has it:
//   - it was reaped already: the kernel keeps the status with the pidfd (Linux 6.15);
//   - it is our own child: waitid(), which leaves it to be reaped by whoever waits for it;
//   - it is a zombie we might trace: field 52 of /proc/PID/stat.
// Else, where the status will be there after the reap, its end is told when it was reaped, but no
// later than a second after it died: a parent may never reap it, and over is over. Then, and on
// older kernels at once, the status is told as unknown.
//
// All pidfds stand in one epoll set, which is what fd() gives. One that waits to be reaped is
// watched for EPOLLHUP alone. A timer in the same set ends the waiting; with a time-out common to
// all, those who wait are a queue.
namespace knell::source {
namespace {

constexpr uint64_t kReapPatienceNs = 1'000'000'000;
constexpr uint64_t kTimerKey = 0;  // no process has pid 0
constexpr int kBatch = 64;         // picked, never tuned

// The descriptor tells a process from a later one with the same pid.
uint64_t key_of(int32_t pid, int pidfd) {
  return static_cast<uint64_t>(static_cast<uint32_t>(pid)) << 32 | static_cast<uint32_t>(pidfd);
}
int32_t pid_of(uint64_t key) { return static_cast<int32_t>(key >> 32); }
int pidfd_of(uint64_t key) { return static_cast<int>(key & 0xffffffffU); }

bool watch(int epoll, int operation, int fd, uint32_t events, uint64_t key) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = key;
  return ::epoll_ctl(epoll, operation, fd, &event) == 0;
}

std::unexpected<Error> no_descriptor(int32_t pid, size_t watched) {
  return say(EMFILE, "no descriptor left for process " + std::to_string(pid) + ", with " +
                         std::to_string(watched) +
                         " watched already: raise the limit of open files (ulimit -n)");
}

// Why there is no pidfd. For a thread that is not its process's first the kernel says EINVAL, and
// from 6.16 on ENOENT.
std::unexpected<Error> no_pidfd(int32_t pid, int error, size_t watched) {
  const std::string name = std::to_string(pid);
  if (error == EMFILE) return no_descriptor(pid, watched);
  if (error == EINVAL || error == ENOENT) {
    if (const auto process = process_of_thread(pid)) {
      return say(ESRCH, name + " is a thread of process " + std::to_string(*process) +
                            ", and no process itself");
    }
    return say(ESRCH, "no process " + name);
  }
  if (error == ESRCH) return say(ESRCH, "no process " + name);
  return make_error(error, "watch process " + name);
}

}  // namespace

Result<std::unique_ptr<PidfdSource>> PidfdSource::create(Clock& clock) {
  if (!pidfd_features().open) {
    return say(EPROTONOSUPPORT,
               "this kernel has no descriptors for processes (pidfd_open, Linux 5.3)");
  }
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("watch processes");
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return errno_error("make a timer");
  if (!watch(epoll.get(), EPOLL_CTL_ADD, timer.get(), EPOLLIN, kTimerKey)) {
    return errno_error("watch a timer");
  }
  return std::unique_ptr<PidfdSource>(new PidfdSource(std::move(epoll), std::move(timer), clock));
}

Result<void> PidfdSource::add(int32_t pid, uint64_t start) {
  if (pid <= 0) return say(EINVAL, "a process id is above 0, not " + std::to_string(pid));
  if (processes_.find(pid) != nullptr) {
    return say(EEXIST, "process " + std::to_string(pid) + " is watched already");
  }
  auto pidfd = try_pidfd_open(pid);
  if (!pidfd) return no_pidfd(pid, pidfd.error(), size());
  if (start != 0) {
    // Looked up after the descriptor was opened: who has the pid now is who had it then.
    const auto stat = read_proc_stat(pid);
    if (!stat && errno == EMFILE) return no_descriptor(pid, size());
    if (!stat || stat->start != start) {
      return say(ESRCH, "process " + std::to_string(pid) + " is gone");
    }
  }
  if (!watch(epoll_.get(), EPOLL_CTL_ADD, pidfd->get(), EPOLLIN, key_of(pid, pidfd->get()))) {
    return errno_error("watch process " + std::to_string(pid));
  }
  processes_.emplace(pid).first->pidfd = *std::move(pidfd);
  return {};
}

Result<void> PidfdSource::remove(int32_t pid) {
  if (processes_.find(pid) == nullptr) {
    return say(ENOENT, "process " + std::to_string(pid) + " is not watched");
  }
  forget(pid);
  return {};
}

void PidfdSource::forget(int32_t pid) {
  // A forked copy of the descriptor would keep it in the set.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, processes_.find(pid)->pidfd.get(), nullptr);
  processes_.erase(pid);
}

Result<void> PidfdSource::want(const Wanted&) { return {}; }
Result<void> PidfdSource::check_health(Sink&) { return {}; }

Capabilities PidfdSource::capabilities() const {
  return {.types = KNELL_EVENT_EXIT, .kernel_filter = false, .buffer_bytes = 0};
}

Result<Drained> PidfdSource::drain(Sink& sink, size_t bound) {
  size_t told = 0;
  bool timer = false;
  for (;;) {
    if (told >= bound) return Drained::kMore;
    std::array<epoll_event, kBatch> ready;
    const int room = static_cast<int>(std::min<size_t>(bound - told, kBatch));
    const int count = ::epoll_wait(epoll_.get(), ready.data(), room, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error("wait for processes");
    size_t moved = 0;
    for (int i = 0; i < count; i++) {
      const uint64_t key = ready[static_cast<size_t>(i)].data.u64;
      if (key == kTimerKey) {
        timer = true;
        continue;
      }
      ++moved;
      if (on_ready(sink, pid_of(key), pidfd_of(key))) ++told;
    }
    if (moved == 0) break;
  }
  if (timer) told += on_timer(sink, bound - told);
  if (told >= bound) return Drained::kMore;
  return told > 0 ? Drained::kSome : Drained::kEmpty;
}

// It is dead. True when that was told.
bool PidfdSource::on_ready(Sink& sink, int32_t pid, int pidfd) {
  Process* process = processes_.find(pid);
  if (process == nullptr || process->pidfd.get() != pidfd) return false;  // the sink removed it
  std::optional<int32_t> status = exit_info(pidfd);
  if (!status) status = child_status(pidfd);
  if (!status) status = zombie_status(pid);
  if (!status) status = exit_info(pidfd);  // reaped while we looked
  if (!status && process->until_ns == 0 && pidfd_features().exit_info) {
    wait_for_reap(pid, *process);
    return false;
  }
  tell(sink, pid, status);
  return true;
}

void PidfdSource::wait_for_reap(int32_t pid, Process& process) {
  process.until_ns = clock_.monotonic_ns() + kReapPatienceNs;
  waiting_.emplace_back(pid, process.until_ns);
  watch(epoll_.get(), EPOLL_CTL_MOD, process.pidfd.get(), 0, key_of(pid, process.pidfd.get()));
  if (waiting_.size() == 1) arm();
}

size_t PidfdSource::on_timer(Sink& sink, size_t bound) {
  const uint64_t now = clock_.monotonic_ns();
  size_t told = 0;
  while (told < bound && !waiting_.empty() && waiting_.front().second <= now) {
    const auto [pid, until_ns] = waiting_.front();
    waiting_.pop_front();
    const Process* process = processes_.find(pid);
    if (process == nullptr || process->until_ns != until_ns) continue;
    tell(sink, pid, exit_info(process->pidfd.get()));
    ++told;
  }
  arm();
  return told;
}

void PidfdSource::tell(Sink& sink, int32_t pid, std::optional<int32_t> status) {
  forget(pid);  // first: the sink may add the pid anew
  ++told_;
  sink.on_over(pid, clock_.monotonic_ns(), status.has_value(), status.value_or(0));
}

// For the first of those who wait; a time that has passed fires at once.
void PidfdSource::arm() {
  itimerspec when{};
  if (!waiting_.empty()) when.it_value = timer_time(waiting_.front().second);
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace knell::source
