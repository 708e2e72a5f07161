// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Why the tracer is a process and not a thread of the caller. The caller is the parent of the
// process that is traced, and waits for it. If a thread of the parent traces, the kernel makes no
// difference between the two (ptrace_reparented() is false): every wait of the parent, with any
// flags and from any thread, also takes the stops that are meant for the tracer, which then never
// continues the tracee; the parent is not notified when its child stops by job control; and the
// stops and ends of all other tracees are seen by waitpid(-1). With a tracer in a process of its
// own the parent sees exactly what it would see without one: stops, continues and the end, once.
//
// The tracer is the only process that the library starts (and it starts no thread). It
// - is a forked child, which shares two mappings with the caller (event_ring.h) and keeps no
//   descriptor but an eventfd, a pipe and standard error;
// - blocks all signals, and has a session of its own, so that neither the terminal nor job control
//   reaches it;
// - is killed by the kernel when the caller's thread ends (PR_SET_PDEATHSIG), and by ~Tracer() in
//   the caller's process.
//   trace_loop.cc says why this loses no signal.
//
// Where kernel.yama.ptrace_scope is 1, a process may only trace its descendants, and the tracer is
// a sibling of the traced process. That process has to permit it before, by prctl(PR_SET_PTRACER,
// getppid()): that is, the descendants of its parent.
#include "source/ptrace/tracer.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <string>

#include "base/pidfd.h"
#include "source/ptrace/refusal.h"

#ifndef SYS_close_range
#define SYS_close_range 436  // the same on all architectures
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

namespace knell::source {
namespace {

constexpr auto kReleaseTimeout = std::chrono::seconds(1);
constexpr auto kReleaseRetry = std::chrono::milliseconds(2);

void close_all_but(std::array<int, 2> keep) {
  std::ranges::sort(keep);
  unsigned from = 3;
  const auto close_until = [&](unsigned last) {
    if (from > last) return;
    if (::syscall(SYS_close_range, from, last, 0) == 0) return;
    for (unsigned fd = from; fd <= last && fd < 65536; fd++) ::close(static_cast<int>(fd));
  };
  for (const int fd : keep) {
    if (fd < 3) continue;
    if (fd > 3) close_until(static_cast<unsigned>(fd) - 1);
    from = static_cast<unsigned>(fd) + 1;
  }
  close_until(UINT_MAX);
}

void close_standard_streams() {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  (void)::dup2(null, STDIN_FILENO);
  (void)::dup2(null, STDOUT_FILENO);
  if (null > STDERR_FILENO) ::close(null);
}

// All signals are blocked already.
void prepare_signals() {
  ::signal(SIGCHLD, SIG_IGN);  // stops are waited for; else one would be pending all the time
  // Interrupts the wait, so that a request to release is seen.
  struct sigaction action{};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);
  sigset_t release;
  ::sigemptyset(&release);
  ::sigaddset(&release, SIGUSR1);
  ::sigprocmask(SIG_UNBLOCK, &release, nullptr);
}

[[noreturn]] void run_tracer(pid_t pid, pid_t owner, EventRing& ring, int wake, int alive,
                             const TraceLoop::Options& options) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != owner) ::_exit(1);
  ::prctl(PR_SET_NAME, "knell-tracer");
  ::setsid();
  prepare_signals();
  close_all_but({wake, alive});
  close_standard_streams();
  (void)!::chdir("/");
  TraceLoop loop(ring, options, [wake] { (void)::eventfd_write(wake, 1); });
  const int error = loop.seize(pid);
  (void)!::write(alive, &error, sizeof error);
  if (error != 0) ::_exit(1);
  loop.run();
  ring.set_finished();
  ::_exit(0);
}

std::unexpected<Error> refused(int error, pid_t pid) {
  const std::string process = std::to_string(pid);
  if (error == ESRCH) return make_error(error, "trace process " + process);
  return say(error == ECHILD ? EPERM : error,
             "cannot trace process " + process + ": " + why_refused(error).text);
}

bool add_to(int epoll, int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// Reads the result of seize(); ECHILD: the tracer died before.
int result_of_seize(int alive) {
  int error = 0;
  ssize_t size;
  do {
    size = ::read(alive, &error, sizeof error);
  } while (size < 0 && errno == EINTR);
  return size == sizeof error ? error : ECHILD;
}

void reap(pid_t tracer) {
  while (::waitpid(tracer, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<std::unique_ptr<Tracer>> Tracer::create(pid_t pid, const Options& options) {
  KNELL_TRY(check_namespace());
  KNELL_ASSIGN(EventRing ring, EventRing::create(options.queue_bytes));
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  int ends[2];
  if (!wake || ::pipe2(ends, O_CLOEXEC) != 0)
    return errno_error("create descriptors of the tracer");
  UniqueFd alive(ends[0]), of_tracer(ends[1]);
  UniqueFd poll(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll || !add_to(poll.get(), wake.get())) return errno_error("create an epoll descriptor");

  // No handler of the caller may run in the child.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t owner = ::getpid();
  const pid_t tracer = ::fork();
  const int fork_error = errno;
  if (tracer == 0) run_tracer(pid, owner, ring, wake.get(), of_tracer.get(), options.details);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (tracer < 0) return make_error(fork_error, "fork the tracer");
  of_tracer.reset();
  auto process = pidfd_open(tracer);
  const int error = result_of_seize(alive.get());
  if (error != 0) {
    reap(tracer);
    return refused(error, pid);
  }
  std::unique_ptr<Tracer> made(new Tracer(std::move(ring), std::move(wake), std::move(alive),
                                          std::move(poll),
                                          process ? *std::move(process) : UniqueFd(), tracer));
  if (!add_to(made->poll_.get(), made->end_fd())) return errno_error("watch the tracer");
  return made;
}

Tracer::~Tracer() {
  if (::getpid() != owner_) return;  // a forked child
  signal_tracer(SIGKILL);
  reap(tracer_);  // ECHILD: the caller has reaped all its children
}

// Not by its number, which may be another process' when the caller reaped all its children.
void Tracer::signal_tracer(int signal) const {
  if (process_)
    (void)::syscall(SYS_pidfd_send_signal, process_.get(), signal, nullptr, 0);
  else if (!gone())
    ::kill(tracer_, signal);
}

bool Tracer::gone() const {
  pollfd end{.fd = end_fd(), .events = POLLIN, .revents = 0};
  return ::poll(&end, 1, 0) > 0;
}

std::optional<TracedEvent> Tracer::next() {
  if (auto event = ring_.pop()) return event;
  // The reader sleeps from here on; a later event makes the descriptor readable again.
  eventfd_t count;
  (void)::eventfd_read(wake_.get(), &count);
  if (auto event = ring_.pop()) return event;
  if (end_ != End::kNot || !gone()) return std::nullopt;
  // It may have written events before it ended.
  if (auto event = ring_.pop()) return event;
  if (auto loss = ring_.pop_unreported_loss()) {
    loss->stamp_ns = system_clock().monotonic_ns();
    return loss;
  }
  end_ = !ring_.finished()           ? End::kKilled
         : ring_.release_requested() ? End::kReleased
                                     : End::kAllEnded;
  (void)::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, end_fd(), nullptr);
  return std::nullopt;
}

void Tracer::release() {
  ring_.request_release();
  const auto until = std::chrono::steady_clock::now() + kReleaseTimeout;
  // The tracer may be just before the wait that the signal is to interrupt: again, then.
  while (!gone() && std::chrono::steady_clock::now() < until) {
    signal_tracer(SIGUSR1);
    pollfd end{.fd = end_fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&end, 1, static_cast<int>(kReleaseRetry.count()));
  }
  if (!gone()) signal_tracer(SIGKILL);
}

}  // namespace knell::source
