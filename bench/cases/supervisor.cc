// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The row "exits by pidfd" of the table.
#include <fcntl.h>
#include <knell/knell.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/pidfd.h"
#include "bench/cases/case.h"
#include "bench/harness/listener_process.h"

namespace knell::bench {
namespace {

constexpr size_t kBatch = 1000;
// Time to wait for the next exit; exits that have not arrived by then count as lost
constexpr int kPatienceMs = 5000;

struct alignas(64) Stack {
  char bytes[16 << 10];
};

// A child that exits when the pipe `gate` has no writer any more. It shares the memory of this
// process, like the vfork children of the other rows, so that creating and ending it costs the
// same.
pid_t create_held(Stack& stack, std::array<int, 2>& gate) {
  const auto wait = [](void* at) {  // system calls only
    const auto& [reader, writer] = *static_cast<std::array<int, 2>*>(at);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(writer);
    char nothing = 0;
    while (::read(reader, &nothing, 1) < 0) {
    }
    ::_exit(0);
    return 0;
  };
  return ::clone(wait, &stack + 1, CLONE_VM | SIGCHLD, &gate);
}

class Supervisor final : public ListenerProcess {
 public:
  Supervisor(std::string name, LibraryOptions options)
      : ListenerProcess(std::move(name), {}, [this](ListenerProcess&) { return supervise(); }),
        options_(std::move(options)) {
    options_.only_added = true;
  }

  Result<Turn> take_turn(const Cores& cores, const StormOptions& storm) override {
    cores_ = cores;
    processes_ = storm.count;
    control().elapsed_ns = control().cpu_ns = control().exits = 0;
    KNELL_TRY(start(cores));
    if (!await_exit(60 * kSecondNs)) kill_now();
    if (control().error[0] != '\0') return refuse(ENOTSUP, "{}", control().error);
    Turn turn;
    turn.cpu_ns = control().cpu_ns;
    turn.handled_ns = control().elapsed_ns;
    turn.lost = processes_ - control().exits;
    return turn;
  }

 private:
  bool uses_pidfds() const { return options_.source.via.empty(); }

  // Runs in the process of the supervisor.
  bool supervise() {
    const rlimit files{.rlim_cur = 1 << 16, .rlim_max = 1 << 16};
    (void)::setrlimit(RLIMIT_NOFILE, &files);
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!uses_pidfds()) listener_ = open_library(options_, KNELL_EVENT_EXIT);
    if (!uses_pidfds() && !listener_) return control().fail("knell_open", knell_explain());
    bool done = true;
    for (size_t left = processes_; left > 0 && done; left -= std::min(left, kBatch))
      done = supervise_batch(std::min(left, kBatch));
    listener_.reset();
    return done;
  }

  bool supervise_batch(size_t count) {
    std::array<int, 2> gate{};
    if (::pipe2(gate.data(), O_CLOEXEC) != 0) return control().fail("pipe", std::strerror(errno));
    const UniqueFd reader(gate[0]);
    UniqueFd writer(gate[1]);
    const auto stacks = std::make_unique_for_overwrite<Stack[]>(count);
    bool done = true;
    for (size_t i = 0; i < count && done; ++i) {
      const pid_t pid = create_held(stacks[i], gate);
      if (pid > 0) pin(cores_.storm, pid);
      done = pid > 0 ? subscribe(pid) : control().fail("clone", std::strerror(errno));
    }
    ::usleep(10'000);
    const uint64_t cpu_before = cpu_ns(0);
    const uint64_t begin_ns = now_ns();
    writer.reset();  // all exit now
    size_t exits = 0;
    for (size_t got = 1; done && exits < count && got != 0; exits += got) got = wait_for_exits();
    control().elapsed_ns += now_ns() - begin_ns;
    control().cpu_ns += cpu_ns(0) - cpu_before;
    control().exits += exits;
    while (::waitpid(-1, nullptr, 0) > 0) {  // reap all children before their stacks are freed
    }
    return done;
  }

  bool subscribe(pid_t pid) {
    if (!uses_pidfds())
      return knell_add(listener_.get(), pid, 0, 0) >= 0 ||
             control().fail("knell_add", knell_explain());
    auto fd = pidfd_open(pid);
    if (!fd) return control().fail("pidfd", fd.error().message().c_str());
    epoll_event wanted{.events = EPOLLIN, .data = {.fd = fd->release()}};
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wanted.data.fd, &wanted) == 0 ||
           control().fail("epoll", std::strerror(errno));
  }

  // Waits for exits. Returns the number of those with a known status; 0: the wait timed out.
  size_t wait_for_exits() {
    if (uses_pidfds()) {
      epoll_event ready{};
      if (::epoll_wait(epoll_.get(), &ready, 1, kPatienceMs) != 1) return 0;
      const auto fd = static_cast<id_t>(ready.data.fd);
      siginfo_t info{};
      const bool is_known = ::waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT) == 0;
      // The children hold copies of the descriptor, so closing it does not end its notifications.
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, ready.data.fd, nullptr);
      ::close(ready.data.fd);
      return is_known ? 1 : 0;
    }
    pollfd wait{.fd = knell_fd(listener_.get()), .events = POLLIN, .revents = 0};
    size_t exits = 0;
    // The listener may become readable without an event, when its latency timer expires.
    while (exits == 0 && ::poll(&wait, 1, kPatienceMs) == 1) {
      std::array<const knell_event*, 64> events{};
      ssize_t count = 0;
      while ((count = knell_read(listener_.get(), events.data(), events.size())) > 0) {
        exits += static_cast<size_t>(
            std::count_if(events.begin(), events.begin() + count,
                          [](const knell_event* e) { return e->type == KNELL_EVENT_EXIT; }));
      }
    }
    return exits;
  }

  LibraryOptions options_;
  Cores cores_;
  size_t processes_ = 0;
  UniqueFd epoll_;
  LibraryHandle listener_;
};

}  // namespace

std::unique_ptr<Contender> make_supervisor(std::string name, LibraryOptions options) {
  return std::make_unique<Supervisor>(std::move(name), std::move(options));
}

}  // namespace knell::bench
