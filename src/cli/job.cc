// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// CMD is a child of knell run and a member of its process group. A signal sent to the group (by the
// terminal, job control, or killpg() of a supervisor) reaches CMD directly; a signal sent to knell
// run alone is passed on, with its value. Stops go the other way: when CMD stops, knell run stops
// by the same signal, so that the shell sees the stop. SIGCONT is passed on like any other signal.
//
// One thing differs for CMD: if knell run leads the process group (a shell started it as a job),
// CMD would lead the group without knell. A CMD that then creates a group of its own (timeout, a
// shell) would have stayed in its group, and kept the terminal. So a signal to the group of knell
// run is passed on to the group of CMD. And CMD is given the terminal, if the group of knell run
// has it, when CMD starts a process, is continued, or is stopped because it lacks the terminal.
#include "cli/job.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/proc_stat.h"
#include "base/signal_names.h"
#include "cli/message.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using namespace std::chrono_literals;

// Chosen, not measured: while CMD's queue of real-time signals is full.
constexpr auto kRetry = 2ms;

// Signals that the kernel sends because of what this process did: they are not for CMD.
bool is_our_own(const siginfo_t& info) {
  switch (info.si_code) {
    case SI_USER:
    case SI_TKILL:
      return info.si_pid == ::getpid();  // also SIGPIPE of a failed write
    case SI_KERNEL:
      return info.si_signo == SIGXCPU || info.si_signo == SIGVTALRM || info.si_signo == SIGPROF;
    default:
      return info.si_code > 0;  // SIGCHLD, faults, SIGIO
  }
}

bool asks_to_end(int signal) {
  return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

// Returns 0 or an errno.
int send_to(pid_t pid, const siginfo_t& info) {
  long result;
  if (info.si_code < 0 && info.si_code != SI_TKILL) {
    siginfo_t copy = info;
    result = ::syscall(SYS_rt_sigqueueinfo, pid, info.si_signo, &copy);
  } else if (info.si_code == SI_TKILL) {
    result = ::syscall(SYS_tgkill, pid, pid, info.si_signo);
    if (result != 0 && errno == ESRCH) result = ::kill(pid, info.si_signo);  // its leader has ended
  } else {
    result = ::kill(pid, info.si_signo);
  }
  return result == 0 ? 0 : errno;
}

}  // namespace

Job::Job(const BlockedSignals& signals, GroupProbe& probe, const Child& child, std::string name)
    : signals_(signals),
      probe_(probe),
      pid_(child.pid()),
      name_(std::move(name)),
      leader_(::getpgrp() == ::getpid()) {}

std::optional<Job::Clock::time_point> Job::next() const {
  auto next = sorter_.next();
  if (!waiting_.empty() && !ended_) {
    const auto retry = Clock::now() + kRetry;
    next = next ? std::min(*next, retry) : retry;
  }
  return next;
}

void Job::step() {
  sort_signals();
  send_waiting();
  reap();
}

// Takes only signals that were pending before the probe is asked, so that the probe has already
// received those of them that were sent to the group. In between, two signals of the same number
// may merge into one, and SIGCONT and a stop signal remove each other; that happens in both
// processes alike, as neither has taken them.
void Job::sort_signals() {
  const sigset_t pending = signals_.pending();
  std::vector<siginfo_t> group;
  has_probe_ = has_probe_ && probe_.take(group);
  wait_for_group_signals();
  const auto now = Clock::now();
  for (const siginfo_t& info : group) sorter_.add_probe(info, now);
  while (const auto info = signals_.take(pending)) {
    if (is_our_own(*info) || info->si_pid == probe_.pid()) continue;
    end_requested_ = end_requested_ || (ended_ && asks_to_end(info->si_signo));
    if (has_probe_)
      sorter_.add_own(*info, now);
    else if (info->si_code != SI_KERNEL)  // SI_KERNEL: assumed to be sent to the group
      forward_signal({*info, SignalSorter::Target::kProcess});
  }
  for (const auto& signal : sorter_.take(now)) forward_signal(signal);
}

bool Job::leads_group_of_its_own() const {
  return leader_ && ::getpgrp() != pid_ && ::getpgid(pid_) == pid_;
}

void Job::forward_signal(const SignalSorter::Sorted& signal) {
  if (ended_) return;
  if (signal.target == SignalSorter::Target::kGroup) {
    if (signal.info.si_signo == SIGCONT && give_terminal()) return;
    if (!leads_group_of_its_own()) return;
    remember_sender(signal.info);
    ::kill(-pid_, signal.info.si_signo);
    return;
  }
  remember_sender(signal.info);
  waiting_.push_back(signal.info);
}

void Job::remember_sender(const siginfo_t& info) {
  Sender sender{info.si_pid, info.si_uid, info.si_code == SI_KERNEL, {}, 0, {}};
  if (const auto stat = sender.pid > 0 ? read_proc_stat(sender.pid) : std::nullopt) {
    sender.comm = stat->comm.data();
    if (const auto parent = read_proc_stat(stat->ppid)) {
      sender.parent_pid = stat->ppid;
      sender.parent_comm = parent->comm.data();
    }
  }
  senders_[info.si_signo] = std::move(sender);
}

void Job::send_waiting() {
  while (!waiting_.empty() && !ended_) {
    const int signal = waiting_.front().si_signo;
    const int error = send_to(pid_, waiting_.front());
    if (error == EAGAIN) return;
    if (error == EPERM)
      message("knell: not permitted to send {} to {} (pid {}), which runs as another user\n",
              signal_name(signal), printable(name_), pid_);
    waiting_.pop_front();
  }
}

// Reaps all children: a process that CMD creates with CLONE_PARENT is a child of knell run, as is
// the tracer of KNELL_VIA_PTRACE, and as the init process of a container knell run inherits
// processes whose parent has ended.
void Job::reap() {
  int status = 0;
  int stopped_by = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED | __WALL)) != 0) {
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) break;
    if (pid == pid_ && WIFSTOPPED(status)) stopped_by = WSTOPSIG(status);
    if (WIFSTOPPED(status)) continue;
    if (pid == probe_.pid()) {
      probe_.on_reaped();
      has_probe_ = false;
    }
    if (pid != pid_) continue;
    ended_ = true;
    wait_status_ = status;
  }
  if (ended_)
    take_terminal_back();
  else if (stopped_by != 0)
    follow_stop(stopped_by);
}

void Job::follow_stop(int signal) {
  if ((signal == SIGTTIN || signal == SIGTTOU) && give_terminal()) return;
  // If the whole group is being continued, we may run before CMD does: wait, then check that CMD is
  // still stopped.
  wait_for_group_signals();
  if (!is_stopped()) return;
  probe_.stopping();
  signals_.stop(signal);
  probe_.continued();
}

// Whether CMD is still stopped by job control. The state of a stopped process that is traced is t,
// but that is also its state for a moment at each stop for its tracer.
bool Job::is_stopped() const {
  const auto stat = read_proc_stat(pid_);
  if (!stat || (stat->state != 'T' && stat->state != 't')) return false;
  siginfo_t continued{};
  constexpr int kWhat = WCONTINUED | WNOHANG | WNOWAIT;
  return ::waitid(P_PID, static_cast<id_t>(pid_), &continued, kWhat) != 0 || continued.si_pid == 0;
}

// Makes CMD's group the foreground group of the terminal, if CMD has created a process group of its
// own: without knell it would be. Then sends SIGCONT, since members of the group that read from the
// terminal before were stopped.
bool Job::give_terminal() {
  if (!leads_group_of_its_own()) return false;
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal || ::tcgetpgrp(terminal.get()) != ::getpgrp()) return false;
  if (::tcsetpgrp(terminal.get(), pid_) != 0) return false;
  gave_terminal_ = true;
  return ::kill(-pid_, SIGCONT) == 0;
}

void Job::take_terminal_back() {
  if (!gave_terminal_) return;
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (terminal && ::tcgetpgrp(terminal.get()) == pid_)
    (void)::tcsetpgrp(terminal.get(), ::getpgrp());
}

const Job::Sender* Job::original_sender(int signal, pid_t sender) const {
  const auto found = sender == ::getpid() ? senders_.find(signal) : senders_.end();
  return found != senders_.end() ? &found->second : nullptr;
}

void Job::replace_sender(knell_event& exit) const {
  const auto text = [](const std::string& word) {
    return knell_string{word.empty() ? nullptr : word.data(), word.size()};
  };
  auto& killer = exit.killed_by;
  const bool killed = (exit.has & KNELL_HAS_KILLER) != 0 && (exit.has & KNELL_HAS_STATUS) != 0;
  if (const Sender* by =
          killed ? original_sender(WTERMSIG(exit.wait_status), killer.pid) : nullptr) {
    killer.pid = by->pid;
    killer.uid = by->pid != 0 ? by->uid : 0;
    killer.comm = text(by->comm);
    killer.cause = by->kernel ? KNELL_CAUSE_KERNEL : KNELL_CAUSE_USER;
    killer.parent_pid = by->parent_pid;
    constexpr uint64_t kIds = KNELL_HAS_KILLER_PID | KNELL_HAS_KILLER_UID;
    exit.has &= ~(kIds | KNELL_HAS_KILLER_PPID);
    if (by->pid != 0) exit.has |= kIds;
    if (by->parent_pid != 0) exit.has |= KNELL_HAS_KILLER_PPID;
    killer.parent_comm = text(by->parent_comm);
    killer.unit = {};
  }
  auto& last = exit.last_signal;
  const bool asked = (exit.has & KNELL_HAS_LAST_SIGNAL) != 0;
  if (const Sender* by = asked ? original_sender(last.signal, last.pid) : nullptr) {
    last.pid = by->pid;
    last.uid = by->pid != 0 ? by->uid : 0;
    constexpr uint64_t kIds = KNELL_HAS_LAST_SIGNAL_PID | KNELL_HAS_LAST_SIGNAL_UID;
    exit.has &= ~kIds;
    if (by->pid != 0) exit.has |= kIds;
    last.comm = text(by->comm);
    last.parent_comm = text(by->parent_comm);
    if (by->kernel) exit.has &= ~KNELL_HAS_LAST_SIGNAL;  // the kernel sent it, not a process
  }
}

}  // namespace knell::cli
