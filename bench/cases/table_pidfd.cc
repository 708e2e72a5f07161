// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/cases/table_pidfd.h"

#include <fcntl.h>
#include <knell/cn_proc.h>
#include <knell/knell.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/pidfd.h"
#include "base/unique_fd.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr int kPatienceMs = 5000;  // without any end: the rest is lost
constexpr unsigned kPauseUs = 10'000;

uint64_t own_cpu_ns() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

int complain(Board& board, const char* what, const char* why, int error) {
  std::snprintf(board.why, sizeof board.why, "%s: %s", what, why);
  return error == 0 ? EIO : error;
}

// Where a held child waits; both ends of a pipe.
struct Gate {
  int read_end, write_end;
};

// In a child that shares our memory, on a stack of its own: system calls only.
int be_held(void* at) {
  const Gate& gate = *static_cast<const Gate*>(at);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::close(gate.write_end);
  char nothing = 0;
  while (::read(gate.read_end, &nothing, 1) < 0) {
  }
  ::_exit(0);
}

// Children that end when the gate is opened. They share our memory, so that making and ending them
// costs what it does in the other rows, where they are vfork's.
class Batch {
 public:
  Batch() = default;
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch() {  // reaped before their stacks go
    open_gate();
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
  }

  bool hold(size_t count, int core) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
    const UniqueFd wait_at(ends[0]);
    gate_.reset(ends[1]);
    place_ = {ends[0], ends[1]};
    stacks_ = std::make_unique_for_overwrite<Stack[]>(count);
    for (size_t i = 0; i < count; ++i) {
      void* top = stacks_.get() + i + 1;  // it grows downwards
      const pid_t pid = ::clone(be_held, top, CLONE_VM | SIGCHLD, &place_);
      if (pid < 0) return false;
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(static_cast<size_t>(core), &set);
      (void)::sched_setaffinity(pid, sizeof set, &set);
      pids_.push_back(pid);
    }
    return true;
  }
  void open_gate() { gate_.reset(); }
  const std::vector<pid_t>& pids() const { return pids_; }

 private:
  struct alignas(64) Stack {
    char bytes[16 << 10];
  };
  Gate place_{};
  UniqueFd gate_;
  std::unique_ptr<Stack[]> stacks_;  // a page of each is ever touched
  std::vector<pid_t> pids_;
};

// One way to hear of ends by pid.
class Ears {
 public:
  virtual ~Ears() = default;
  virtual int open(Board& board) = 0;  // 0 or an errno
  virtual int ask(Board& board, const std::vector<pid_t>& pids) = 0;
  virtual size_t hear() = 0;  // how many ended, their status known; 0: no more come
};

class PidfdEars final : public Ears {
 public:
  int open(Board& board) override {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
      files.rlim_cur = files.rlim_max;
      (void)::setrlimit(RLIMIT_NOFILE, &files);
    }
    waiter_.reset(::epoll_create1(EPOLL_CLOEXEC));
    return waiter_ ? 0 : complain(board, "epoll", std::strerror(errno), errno);
  }

  int ask(Board& board, const std::vector<pid_t>& pids) override {
    for (const pid_t pid : pids) {
      auto fd = try_pidfd_open(pid);
      if (!fd) return complain(board, "pidfd_open", std::strerror(fd.error()), fd.error());
      epoll_event wanted{.events = EPOLLIN, .data = {.fd = fd->release()}};
      if (::epoll_ctl(waiter_.get(), EPOLL_CTL_ADD, wanted.data.fd, &wanted) != 0)
        return complain(board, "epoll", std::strerror(errno), errno);
    }
    return 0;
  }

  size_t hear() override {
    epoll_event ready{};
    if (::epoll_wait(waiter_.get(), &ready, 1, kPatienceMs) != 1) return 0;
    siginfo_t info{};
    const int known = ::waitid(P_PIDFD, static_cast<id_t>(ready.data.fd), &info, WEXITED | WNOWAIT);
    ::close(ready.data.fd);
    return known == 0 ? 1 : 0;
  }

 private:
  UniqueFd waiter_;
};

class KnellEars final : public Ears {
 public:
  KnellEars(const char* via, int64_t latency_ns) : via_(via), latency_ns_(latency_ns) {}
  ~KnellEars() override { knell_close(listener_); }

  int open(Board& board) override {
    knell_options options = KNELL_OPTIONS_INIT;
    options.events = KNELL_EVENT_EXIT;
    options.details = KNELL_DETAILS_STATUS;
    options.via = via_;
    options.latency_ns = latency_ns_;
    const int error = knell_open(&options, &listener_);
    return error < 0 ? complain(board, "knell", knell_explain(), -error) : 0;
  }

  int ask(Board& board, const std::vector<pid_t>& pids) override {
    for (const pid_t pid : pids) {
      if (const int error = knell_add(listener_, pid, 0, 0); error < 0)
        return complain(board, "knell_add", knell_explain(), -error);
    }
    return 0;
  }

  size_t hear() override {
    pollfd wait{.fd = knell_fd(listener_), .events = POLLIN, .revents = 0};
    while (::poll(&wait, 1, kPatienceMs) == 1) {
      size_t ended = 0;
      if (!read_all(ended)) return 0;
      if (ended != 0) return ended;  // else the timer that paces woke us for nothing
    }
    return 0;
  }

 private:
  bool read_all(size_t& ended) {
    std::array<const knell_event*, 64> events{};
    ssize_t count = 0;
    while ((count = knell_read(listener_, events.data(), events.size())) > 0) {
      for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
        if (events[i]->type == KNELL_EVENT_EXIT) ++ended;
      }
    }
    return count == 0;
  }

  const char* via_;
  int64_t latency_ns_;
  knell_listener* listener_ = nullptr;
};

void hear_batch(Board& board, Ears& ears, Batch& batch) {
  ::usleep(kPauseUs);
  const uint64_t cpu_before = own_cpu_ns();
  const uint64_t begin = now_ns();
  batch.open_gate();
  size_t told = 0;
  while (told < batch.pids().size()) {
    const size_t ended = ears.hear();
    if (ended == 0) break;
    told += ended;
  }
  board.figures[0] += now_ns() - begin;
  board.figures[1] += own_cpu_ns() - cpu_before;
  board.figures[2] += told;
}

int supervise(Board& board, Ears& ears, size_t processes, int core) {
  if (const int error = ears.open(board); error != 0) return error;
  board.ready = 1;
  for (size_t left = processes; left > 0;) {
    const size_t count = std::min(left, Supervisor::kBatch);
    Batch batch;
    if (!batch.hold(count, core)) return complain(board, "fork", std::strerror(errno), errno);
    if (const int error = ears.ask(board, batch.pids()); error != 0) return error;
    hear_batch(board, ears, batch);
    left -= count;
  }
  board.tell_marker(Supervisor::kAllBatches, now_ns());
  return 0;
}

}  // namespace

Supervisor::Supervisor(std::string name, size_t processes, int storm_core, const char* via,
                       int64_t latency_ns)
    : InProcess(std::move(name), KNELL_EVENT_EXIT, [=](Board& board, int stop_fd) {
        std::unique_ptr<Ears> ears;
        if (via == nullptr) {
          ears = std::make_unique<PidfdEars>();
        } else {
          ears = std::make_unique<KnellEars>(via, latency_ns);
        }
        const int error = supervise(board, *ears, processes, storm_core);
        if (error != 0) return error;
        pollfd stop{.fd = stop_fd, .events = POLLIN, .revents = 0};
        while (::poll(&stop, 1, -1) < 0) {
        }
        return 0;
      }) {}

}  // namespace knell::bench
