// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Why this takes a process. A signal has its sender but not its target: kill(PID) and kill(-PGID)
// look alike to the receiver. Yet CMD has already received the second one itself, and the first one
// must be passed on to it. CMD cannot have a process group of its own instead: in `knell run -- a |
// b` it must share one with b, for the terminal's foreground group, for Ctrl-C and for job control.
// So a helper process that no other process knows is a member of the group with all signals
// blocked, and reports the signals it received.
//
// The kernel signals a group with tasklist_lock held for reading; setpgid(2) takes it for writing,
// also where it then finds no process to move. So when setpgid(2) has returned, a signal that one
// member has received has reached all members.
//
// The probe keeps running when we stop or die, so it has two more tasks. When CMD stops, we stop
// too; a process that then continues CMD alone (a debugger, `kill -CONT` of its pid) does not
// continue us. So while we are stopped, and only then, the probe checks the state of CMD every
// kLook. And when we die before CMD, only the probe can react: a supervisor that kills us with
// SIGKILL after its time-out wants to end CMD. Without the probe CMD would continue to run, beside
// the new process that the supervisor starts.
#include "cli/group_probe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <knell/knell.hpp>
#include <map>

#include "base/pidfd.h"
#include "base/proc_stat.h"
#include "cli/message.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 50ms;  // chosen, not measured: how often the probe checks a stopped CMD
// Chosen, not measured: then the probe is sent SIGCONT, as it may be stopped.
constexpr auto kAnswer = 100ms;
// Chosen, not measured: a probe that has not answered by then counts as ended
constexpr auto kLongAnswer = 5s;
constexpr size_t kNamesShown = 16;  // chosen, not measured

enum : char { kTake = 't', kStopping = 's', kContinued = 'c', kEnd = 'e' };
struct Request {
  char what;
  uint32_t number;
};
struct Answer {
  static constexpr uint32_t kMost = 16;
  uint32_t number;
  uint32_t count;  // number of signals in this answer; kMost: another answer follows
  std::array<siginfo_t, kMost> signals;
};

int poll_ms(int fd, std::chrono::milliseconds most) {
  pollfd ready{fd, POLLIN, 0};
  return ::poll(&ready, 1, static_cast<int>(most.count()));
}

// ---- in the probe

struct Probe {
  const BlockedSignals& signals;
  int socket;
  pid_t parent, command;
  UniqueFd parent_fd, command_fd;  // pidfds; empty before Linux 5.3
  std::string name;
  bool stopped = false;

  void serve();
  void answer(uint32_t number) const;
  void look_at_command() const;
  void on_parent_gone() const;
  std::string descendants() const;
};

void Probe::answer(uint32_t number) const {
  Answer answer{};
  answer.number = number;
  do {
    answer.count = 0;
    while (answer.count < Answer::kMost) {
      const auto info = signals.take();
      if (!info) break;
      if (info->si_pid != parent) answer.signals[answer.count++] = *info;
    }
    (void)::send(socket, &answer, sizeof answer, MSG_NOSIGNAL);
  } while (answer.count == Answer::kMost);
}

// The parent announces that it will stop, and may not have stopped yet. So this check repeats, and
// may send SIGCONT again, until the parent reports that it runs.
void Probe::look_at_command() const {
  const auto stat = read_proc_stat(command);
  const bool still = stat && (stat->state == 'T' || stat->state == 't');
  if (!still) ::kill(parent, SIGCONT);
}

// The processes under CMD, by their current parents in /proc: "12 sh, 14 sleep".
std::string Probe::descendants() const {
  std::multimap<pid_t, std::pair<pid_t, std::string>> children;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const auto pid = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
    const auto stat = pid > 0 ? read_proc_stat(pid) : std::nullopt;
    if (!stat || stat->state == 'Z') continue;
    children.emplace(stat->ppid, std::pair(pid, printable(std::string(stat->comm.data()))));
  }
  std::vector<std::string> names;
  std::vector<pid_t> todo{command};
  while (!todo.empty()) {
    const auto [first, last] = children.equal_range(todo.back());
    todo.pop_back();
    for (auto child = first; child != last; ++child) {
      todo.push_back(child->second.first);
      names.push_back(fmt::format("{} {}", child->second.first, child->second.second));
    }
  }
  if (names.size() <= kNamesShown) return fmt::format("{}", fmt::join(names, ", "));
  const size_t more = names.size() - kNamesShown;
  names.resize(kNamesShown);
  return fmt::format("{} and {} more", fmt::join(names, ", "), more);
}

void Probe::on_parent_gone() const {
  if (command_fd ? is_dead(command_fd.get()) : ::kill(command, 0) != 0) return;
  std::optional<int32_t> status;
  if (parent_fd) {
    while (!is_dead(parent_fd.get())) poll_ms(parent_fd.get(), 1s);
    status = zombie_status(parent);
    if (!status) status = exit_info(parent_fd.get());
  }
  // Without a status (already reaped, before Linux 6.15), a kill is assumed: it is the more
  // frequent cause.
  const bool killed = !status || (WIFSIGNALED(*status) && WTERMSIG(*status) == SIGKILL);
  const std::string under = descendants();
  std::string line;
  if (killed) {
    if (command_fd)
      ::syscall(SYS_pidfd_send_signal, command_fd.get(), SIGKILL, nullptr, 0);
    else
      ::kill(command, SIGKILL);
    line =
        fmt::format("knell: knell run was killed; {} (pid {}) was killed as well", name, command);
  } else {
    line = fmt::format("knell: knell run crashed (wait status {:#x}); {} (pid {}) continues to run",
                       *status, name, command);
  }
  if (!under.empty()) line += fmt::format("; its descendants still run: {}", under);
  message("{}\n", line);
}

void Probe::serve() {
  for (;;) {
    const int ready = poll_ms(socket, stopped ? std::chrono::milliseconds(kLook) : -1ms);
    if (ready == 0) {
      look_at_command();
      continue;
    }
    Request request{};
    const ssize_t n = ::recv(socket, &request, sizeof request, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof request) return on_parent_gone();
    if (request.what == kEnd) return;
    if (request.what == kTake) answer(request.number);
    stopped = request.what == kStopping || (stopped && request.what != kContinued);
  }
}

}  // namespace

Outcome<GroupProbe> GroupProbe::create(const BlockedSignals& signals, pid_t command,
                                       const std::string& name) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return failed("cannot create a socket pair: {}", std::strerror(errno));
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return failed("cannot fork: {}", std::strerror(errno));
  if (pid > 0) return GroupProbe(pid, std::move(ours));

  // Another name, so that a search for `knell` does not find the probe. All other descriptors are
  // closed: their readers must see them close when we end.
  ::prctl(PR_SET_NAME, "run-signals");
  constexpr int kSocket = 3;
  if (theirs.get() != kSocket) ::dup2(theirs.get(), kSocket);
  ::closefrom(kSocket + 1);
  Probe probe{signals, kSocket, parent, command, {}, {}, printable(name)};
  if (auto fd = try_pidfd_open(parent)) probe.parent_fd = *std::move(fd);
  if (auto fd = try_pidfd_open(command)) probe.command_fd = *std::move(fd);
  probe.serve();
  ::_exit(0);
}

GroupProbe::~GroupProbe() {
  if (pid_ < 0) return;
  send(kEnd);
  ::kill(pid_, SIGCONT);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool GroupProbe::send(char what) {
  const Request request{what, ++requests_};
  return ::send(socket_.get(), &request, sizeof request, MSG_NOSIGNAL) == sizeof request;
}

bool GroupProbe::take(std::vector<siginfo_t>& out) {
  if (pid_ < 0) return false;
  wait_for_group_signals();
  if (!send(kTake)) return false;
  for (;;) {
    if (poll_ms(socket_.get(), kAnswer) <= 0) {
      ::kill(pid_, SIGCONT);
      if (poll_ms(socket_.get(), kLongAnswer) <= 0) return false;
    }
    Answer answer{};
    const ssize_t n = ::recv(socket_.get(), &answer, sizeof answer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof answer) return false;
    out.insert(out.end(), answer.signals.begin(), answer.signals.begin() + answer.count);
    if (answer.number == requests_ && answer.count < Answer::kMost) return true;
  }
}

void GroupProbe::stopping() {
  if (pid_ >= 0) send(kStopping);
}

void GroupProbe::continued() {
  if (pid_ >= 0) send(kContinued);
}

// No process has the pid INT_MAX: the kernel allows pids up to 4194304.
void wait_for_group_signals() { (void)::setpgid(INT_MAX, 1); }

}  // namespace knell::cli
