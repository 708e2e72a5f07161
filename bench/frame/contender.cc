// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/contender.h"

#include <knell/cn_proc.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kStartPatience = 10'000 * kMillisecond;
constexpr uint64_t kStopPatience = 2'000 * kMillisecond;

}  // namespace

Outcome<void> Contender::run(const Cores& cores, const std::function<void()>& body) {
  kill_now();
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) return std::unexpected(errno_error("make a process").error());
  if (pid_ != 0) return {};
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kFailed);  // it died before that
  ::setpgid(0, 0);
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  pin(cores.listeners);
  body();
  ::_exit(kFailed);
}

bool Contender::is_alive() const {
  siginfo_t info{};
  return pid_ > 0 &&
         ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

bool Contender::await_end(uint64_t patience_ns) {
  for (const uint64_t end = now_ns() + patience_ns; pid_ > 0;) {
    const pid_t reaped = ::waitpid(pid_, nullptr, WNOHANG);
    if (reaped != 0) pid_ = -1;
    if (reaped == 0 && now_ns() > end) return false;
    if (reaped == 0) ::usleep(1000);  // also when interrupted: it must be gone
  }
  return true;
}

void Contender::kill_now() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  (void)await_end(kStartPatience);
}

void Contender::end_softly() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGINT);
  if (!await_end(kStopPatience)) kill_now();
}

InProcess::InProcess(std::string name, uint32_t events, Listen listen)
    : Contender(std::move(name)), events_(events), listen_(std::move(listen)) {
  // Address space only: NORESERVE, since nearly all of the log is never touched.
  void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory != MAP_FAILED) board_ = static_cast<Board*>(memory);
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

InProcess::~InProcess() {
  stop();
  if (board_ != nullptr) ::munmap(board_, sizeof(Board));
  if (stop_fd_ >= 0) ::close(stop_fd_);
}

Outcome<void> InProcess::start(const Cores& cores) {
  if (board_ == nullptr || stop_fd_ < 0)
    return std::unexpected(errno_error("get memory to share").error());
  // All but the log, which is good up to `count`.
  std::memset(static_cast<void*>(board_), 0, offsetof(Board, log));
  uint64_t old = 0;
  (void)!::read(stop_fd_, &old, sizeof old);
  KNELL_TRY(run(cores, [this] {
    board_->error = listen_(*board_, stop_fd_);
    ::_exit(board_->error == 0 ? kDone : kFailed);
  }));
  for (const uint64_t end = now_ns() + kStartPatience; board_->ready == 0;) {
    if (!is_alive()) {
      const int error = board_->error;
      return fail(kCannotMeasure, "{}",
                  board_->why[0] != '\0' ? board_->why
                  : error != 0           ? std::strerror(error)
                                         : "it died");
    }
    if (now_ns() > end) return fail(kCannotMeasure, "it does not begin to listen");
    ::usleep(200);
  }
  return {};
}

std::optional<uint64_t> InProcess::handled(pid_t marker) {
  if (board_->marker.load(std::memory_order_acquire) != marker) return std::nullopt;
  return board_->marker_ns.load(std::memory_order_relaxed);
}

void InProcess::stop() {
  if (pid() <= 0) return;
  const uint64_t one = 1;
  (void)!::write(stop_fd_, &one, sizeof one);
  if (!await_end(kStopPatience)) kill_now();
}

std::vector<Arrival> InProcess::arrivals() {
  const size_t count = std::min<size_t>(board_->count, Board::kCapacity);
  return std::vector<Arrival>(board_->log, board_->log + count);
}

std::unique_ptr<Contender> make_null(std::string name) {
  return std::make_unique<InProcess>(std::move(name), 0, [](Board& board, int stop_fd) {
    board.ready = 1;
    uint64_t one = 0;
    for (;;) {
      if (::read(stop_fd, &one, sizeof one) > 0) return 0;
      pollfd wait{.fd = stop_fd, .events = POLLIN, .revents = 0};
      (void)::poll(&wait, 1, -1);
    }
  });
}

namespace {

// How often each of `expected` is not among `arrived`.
uint64_t missing(std::vector<int32_t> expected, std::vector<int32_t> arrived) {
  std::ranges::sort(expected);
  std::ranges::sort(arrived);
  std::vector<int32_t> rest;
  std::ranges::set_difference(expected, arrived, std::back_inserter(rest));
  return rest.size();
}

}  // namespace

uint64_t count_lost(uint32_t events, const Blow& blow, std::span<const Arrival> arrivals) {
  const auto arrived = [&](uint32_t type) {
    std::vector<int32_t> pids;
    for (const Arrival& arrival : arrivals) {
      if (arrival.type == type) pids.push_back(arrival.pid);
    }
    return pids;
  };
  const auto pids = [&](bool failing_only) {
    std::vector<int32_t> all;
    for (const Ended& ended : blow.processes) {
      if (!failing_only || ended.status != 0) all.push_back(ended.pid);
    }
    return all;
  };
  uint64_t lost = 0;
  if ((events & KNELL_EVENT_FORK) != 0) {
    std::vector<int32_t> expected = pids(false);
    expected.push_back(blow.marker);
    lost += missing(std::move(expected), arrived(KNELL_EVENT_FORK));
  }
  if ((events & KNELL_EVENT_EXEC) != 0 && blow.execs)
    lost += missing(pids(false), arrived(KNELL_EVENT_EXEC));
  if ((events & (KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT)) != 0) {
    std::vector<int32_t> expected = pids((events & KNELL_EVENT_EXIT) == 0);
    expected.push_back(blow.marker);
    lost += missing(std::move(expected), arrived(KNELL_EVENT_EXIT));
  }
  return lost;
}

}  // namespace knell::bench
