// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The order of a life, as ptrace(2) reports it for a tracee that was seized:
//
//   creator stops: FORK, VFORK or CLONE      on_birth(): a thread, or the event FORK
//   the new thread stops for the first time  nothing; or, if it comes first, adopt()
//   EXEC                                     on_exec(): the event EXEC
//   a signal is about to be delivered        on_signal(): remembers its sender; the signal goes on
//   stopped by job control                   PTRACE_LISTEN: it stays stopped until SIGCONT
//   a thread ended                           on_end(): the kernel forgets it
//   the last thread ended                    on_end(): the event EXIT; its parent is notified
//
// The kernel attaches new threads and processes by itself before they run. It reports the end of a
// thread group's leader only when all other threads were reaped, with the status that the parent
// gets, and an exec from another thread as one EXEC of the leader's number. So the end of a leader
// is the end of its process, and no exits of threads have to be joined.
//
// There are no stops at the end of threads (PTRACE_O_TRACEEXIT): a process killed by SIGKILL does
// not make them, and a zombie still has its ids, its cgroup and its terminal in /proc.
//
// A stop is only looked at (WNOWAIT) and not consumed before the tracee continues: when a stop is
// consumed, the kernel forgets the signal that is about to be delivered, and then it is lost if the
// tracer is killed before the tracee continues. So this process may be killed at any time: the
// kernel detaches the tracees, which go on as if nobody had traced them. For the same reason there
// is no PTRACE_O_EXITKILL: the end of the tracer is not the end of the command.
#include "source/ptrace/trace_loop.h"

#include <fcntl.h>
#include <knell/knell.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/pid_list.h"
#include "source/ptrace/signal_origin.h"

namespace knell::source {
namespace {

constexpr long kOptions =
    PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
constexpr size_t kArgsBytes = 4096;     // as the other sources
constexpr size_t kCgroupBytes = 16384;  // all hierarchies of a hybrid system
// Picked: a creator that is not killed stops within some microseconds, or when it is scheduled.
constexpr int kCreatorRounds = 100;
constexpr useconds_t kCreatorPause = 50;
constexpr size_t kMostEarly =
    1024;  // chosen, not measured: of those that remain, only the start is compared

// The last argument of ptrace(2) where it is a number.
void* as_data(uintptr_t number) { return std::bit_cast<void*>(number); }

// Fails with ESRCH when SIGKILL ended the stop; then the end of the tracee is reported next.
void resume(pid_t tid, int signal) {
  (void)::ptrace(PTRACE_CONT, tid, nullptr, as_data(static_cast<uintptr_t>(signal)));
}

bool is_thread_of(pid_t pid, pid_t tid) {
  return ::syscall(SYS_tgkill, pid, tid, 0) == 0 || errno == EPERM;
}

bool stops(int signal) {
  return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

// Signals whose default action is to end the process.
bool may_be_deadly(int signal) {
  return !stops(signal) && signal != SIGCHLD && signal != SIGCONT && signal != SIGURG &&
         signal != SIGWINCH;
}

bool asks_to_end(int signal) {
  return signal == SIGTERM || signal == SIGINT || signal == SIGQUIT || signal == SIGHUP;
}

bool has(uint64_t mask, int signal) { return (mask >> (signal - 1) & 1) != 0; }

}  // namespace

int TraceLoop::seize(pid_t pid) {
  Process process;
  const auto seize_thread = [&](pid_t tid) {
    if (threads_.contains(tid)) return 0;
    if (::ptrace(PTRACE_SEIZE, tid, nullptr, as_data(kOptions)) != 0) return errno;
    threads_[tid] = pid;
    return 0;
  };
  if (const int error = seize_thread(pid); error != 0) return error;
  // A thread that is created meanwhile is attached by the kernel if its creator is.
  for (size_t before = 0; before != threads_.size();) {
    before = threads_.size();
    const std::string path = "/proc/" + std::to_string(pid) + "/task";
    PidList list(UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    while (const pid_t tid = list.next()) (void)seize_thread(tid);
  }
  process.had_threads = threads_.size() > 1;
  const auto stat = read_proc_stat(pid);
  if (stat) {
    process.start = stat->start;
    process.ppid = stat->ppid;
    if (const auto parent = read_proc_stat(stat->ppid)) process.parent_start = parent->start;
  }
  refresh(pid, process, stat ? &*stat : nullptr);
  refresh_parent_comm(process, stat ? &*stat : nullptr);
  process.image = read_image(pid);
  processes_[pid] = std::move(process);
  ring_.set_live(processes_.size());
  return 0;
}

void TraceLoop::run() {
  while (!processes_.empty() || !threads_.empty()) {
    if (ring_.release_requested()) return release_all();
    siginfo_t info{};
    constexpr int kWhat = WEXITED | WSTOPPED | WNOWAIT | __WALL | __WNOTHREAD;
    if (::waitid(P_ALL, 0, &info, kWhat) != 0) {
      if (errno == EINTR) continue;
      return;  // ECHILD: no tracee is left
    }
    if (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED)
      on_stop(info.si_pid, info.si_status);
    else
      on_end(info.si_pid);
  }
}

void TraceLoop::on_stop(pid_t tid, int status) {
  if (!threads_.contains(tid)) adopt(tid);
  const int signal = status & 0xff;
  switch (status >> 8) {
    case 0:
      on_signal(tid, signal);
      return resume(tid, signal);
    case PTRACE_EVENT_STOP:
      if (!stops(signal)) return resume(tid, 0);
      (void)::ptrace(PTRACE_LISTEN, tid, nullptr, nullptr);
      return;
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
      on_birth(tid);
      return resume(tid, 0);
    case PTRACE_EVENT_EXEC:
      return on_exec(tid);
    default:
      return resume(tid, 0);
  }
}

// ---------------------------------------------------------------------------------------------
// births

void TraceLoop::on_birth(pid_t creator) {
  unsigned long message = 0;
  // Fails when the creator is killed; then the first stop of its child tells.
  if (::ptrace(PTRACE_GETEVENTMSG, creator, nullptr, &message) != 0) return;
  const auto child = static_cast<pid_t>(message);
  if (child <= 0) return;
  if (const auto early = early_.find(child); early != early_.end()) {
    const auto stat = read_proc_stat(child);
    const bool same = !stat || stat->start == early->second;
    early_.erase(early);
    if (same) return;
  }
  if (threads_.contains(child)) return;
  const pid_t pid = threads_[creator];
  if (is_thread_of(pid, child))
    add_thread(child, pid);
  else if (is_thread_of(child, child))
    add_process(child, pid);
  // Else it was a thread that stopped first (adopt()), and has ended by now.
}

void TraceLoop::add_thread(pid_t tid, pid_t pid) {
  threads_[tid] = pid;
  if (const auto process = processes_.find(pid); process != processes_.end())
    process->second.had_threads = true;
}

// The first stop, or the end, of a thread whose creator did not report it yet, or never will
// because it was killed.
void TraceLoop::adopt(pid_t tid) {
  const auto status = read_tracee_status(tid);
  pid_t pid = status ? status->tgid : 0;
  if (!status) {  // without /proc
    const auto owner = std::ranges::find_if(
        processes_, [&](const auto& process) { return is_thread_of(process.first, tid); });
    pid = owner != processes_.end() ? owner->first : tid;
  }
  if (pid != tid) return add_thread(tid, pid);
  add_process(tid, 0);
  if (early_.size() >= kMostEarly) early_.clear();
  early_[tid] = processes_[tid].start;
}

// Which process created this one, from the message of its stop; 0: none has stopped for it. The
// creator stops at about the same time as the child, unless it is killed.
pid_t TraceLoop::find_creator(pid_t child, pid_t parent) const {
  for (int round = 0; round <= kCreatorRounds; round++) {
    const bool all = round == kCreatorRounds;  // with CLONE_PARENT, it is not the parent
    for (const auto& [tid, pid] : threads_) {
      unsigned long message = 0;
      if ((all || pid == parent) && ::ptrace(PTRACE_GETEVENTMSG, tid, nullptr, &message) == 0 &&
          static_cast<pid_t>(message) == child)
        return pid;
    }
    if (!all && processes_.contains(parent)) ::usleep(kCreatorPause);
  }
  return 0;
}

// A creator that was killed is a zombie that this process did not reap yet.
bool TraceLoop::has_zombies() const {
  return std::ranges::any_of(threads_, [](const auto& thread) {
    siginfo_t info{};
    constexpr int kWhat = WEXITED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD;
    return ::waitid(P_PID, static_cast<id_t>(thread.first), &info, kWhat) == 0 &&
           info.si_pid != 0 && info.si_code != CLD_TRAPPED;
  });
}

// 0: not certain. A parent that ends gives its children to another process, so where the creator
// may have been killed, the parent may be that other process.
pid_t TraceLoop::parent_at_birth(const ProcStat& stat, pid_t creator) const {
  if (stat.ppid == creator) return creator;
  // With CLONE_PARENT it is the parent of the creator.
  const auto known = processes_.find(creator);
  if (known != processes_.end() && known->second.ppid == stat.ppid) return stat.ppid;
  return has_zombies() ? 0 : stat.ppid;
}

// `creator`: 0 when it is not known.
void TraceLoop::add_process(pid_t pid, pid_t creator) {
  Process process;
  const auto stat = read_proc_stat(pid);
  if (stat) {
    if (creator == 0) creator = find_creator(pid, stat->ppid);
    process.start = stat->start;
    process.ppid = parent_at_birth(*stat, creator);
  }
  refresh(pid, process, stat ? &*stat : nullptr);
  if (const auto parent = processes_.find(process.ppid); parent != processes_.end())
    process.parent_start = parent->second.start;
  if (const auto known = processes_.find(creator); known != processes_.end()) {
    Process& its = known->second;
    process.image = its.image;
    // The child has copies of them.
    if (process.has_ids) {
      its.has_ids = true;
      its.uid = process.uid;
      its.gid = process.gid;
    }
    if (process.has_tty) {
      its.has_tty = true;
      its.tty = process.tty;
    }
    if (process.has_comm && !its.had_threads) {
      its.has_comm = true;
      its.comm = process.comm;
    }
  }
  if (process.ppid != 0) refresh_parent_comm(process, stat ? &*stat : nullptr);
  threads_[pid] = pid;
  const Process& added = processes_[pid] = std::move(process);
  ring_.set_live(processes_.size());
  report_birth(pid, added);
}

void TraceLoop::report_birth(pid_t pid, const Process& child) {
  const auto parent = processes_.find(child.ppid);
  TracedEvent event;
  std::string cgroup;
  if (parent != processes_.end()) {
    event = event_of(TracedFacts::Type::kFork, child.ppid, parent->second);
    if (options_.names) cgroup = read_tracee_file(child.ppid, "cgroup", kCgroupBytes);
  } else {
    event.type = TracedFacts::Type::kFork;
    event.stamp_ns = clock_.monotonic_ns();
    event.pid = event.tid = child.ppid;
    event.start_ticks = child.parent_start;
    event.has_comm = child.has_parent_comm;
    event.comm = child.parent_comm;
  }
  event.cgroup = cgroup;
  event.child_pid = pid;
  event.child_start_ticks = child.start;
  event.has_child_uid = child.has_ids;
  event.child_uid = child.uid;
  push(event);
}

// ---------------------------------------------------------------------------------------------
// exec

void TraceLoop::on_exec(pid_t tid) {
  // After an exec from a thread that was not the leader the kernel refuses everything until the
  // stop was consumed. It delivers no signal, so none can be lost.
  siginfo_t info{};
  (void)::waitid(P_PID, static_cast<id_t>(tid), &info, WSTOPPED | WNOHANG | __WALL | __WNOTHREAD);
  // Then that thread has the number of the leader, and all others are gone.
  unsigned long message = 0;
  if (::ptrace(PTRACE_GETEVENTMSG, tid, nullptr, &message) == 0) {
    const auto old = static_cast<pid_t>(message);
    if (old != tid && old > 0) threads_.erase(old);
  }
  threads_[tid] = tid;
  Process& process = processes_[tid];
  const auto stat = read_proc_stat(tid);
  refresh(tid, process, stat ? &*stat : nullptr);
  refresh_parent_comm(process, stat ? &*stat : nullptr);
  process.image = read_image(tid);
  process.deadly = {};
  TracedEvent event = event_of(TracedFacts::Type::kExec, tid, process);
  const std::string cgroup =
      options_.names ? read_tracee_file(tid, "cgroup", kCgroupBytes) : std::string();
  event.cgroup = cgroup;
  const Program* const program = programs_.of(tid);
  if (program != nullptr &&
      ((program->mode & (S_ISUID | S_ISGID)) != 0 || program->capabilities != 0)) {
    const auto status = read_tracee_status(tid);
    event.privileges_withheld = status && privileges_withheld(*program, *status);
  }
  // It has one thread and is in a stop. The detach fails when it was killed: its end comes next.
  const bool released =
      program != nullptr && program->traces && ::ptrace(PTRACE_DETACH, tid, nullptr, nullptr) == 0;
  if (released) event.released = Released::kTracesItself;
  push(event);
  if (!released) return resume(tid, 0);
  push_release(tid, process, Released::kTracesItself);
  processes_.erase(tid);
  threads_.erase(tid);
  ring_.set_live(processes_.size());
}

void TraceLoop::push_release(pid_t pid, const Process& process, Released reason) {
  TracedEvent event = event_of(TracedFacts::Type::kReleased, pid, process);
  event.released = reason;
  push(event);
}

// The kernel detaches the tracees when this process ends.
void TraceLoop::release_all() {
  for (const auto& [pid, process] : processes_) push_release(pid, process, Released::kTracerEnded);
}

// ---------------------------------------------------------------------------------------------
// signals

void TraceLoop::on_signal(pid_t tid, int signal) {
  if (!may_be_deadly(signal)) return;
  const auto process = processes_.find(threads_[tid]);
  if (process == processes_.end()) return;
  siginfo_t info{};
  const bool read = ::ptrace(PTRACE_GETSIGINFO, tid, nullptr, &info) == 0;
  const auto status = read ? read_tracee_status(tid) : std::nullopt;
  if (status)
    note_signal(tid, process->second, *status, info);
  else
    process->second.unread_signal = true;
}

void TraceLoop::note_signal(pid_t tid, Process& process, const TraceeStatus& status,
                            const siginfo_t& info) {
  if (has(status.ignored, info.si_signo)) return;
  const bool caught = has(status.caught, info.si_signo);
  if (caught && !asks_to_end(info.si_signo)) return;
  const Sender sender = sender_of(tid, process, status, info);
  if (!caught) {
    if (std::ranges::find(process.deadly, sender.signal, &Sender::signal) == process.deadly.end())
      process.deadly.push_back(sender);
  } else if (sender.cause == KNELL_CAUSE_USER && sender.pid != status.tgid) {
    process.request = sender;
  }
}

Sender TraceLoop::sender_of(pid_t tid, Process& process, const TraceeStatus& status,
                            const siginfo_t& info) const {
  Sender sender;
  sender.signal = static_cast<uint32_t>(info.si_signo);
  sender.stamp_ns = clock_.monotonic_ns();
  SignalReceiver receiver;
  receiver.nested = status.nested_pid != 0;
  receiver.pid = receiver.nested ? status.nested_pid : status.tgid;
  receiver.parent = process.ppid;
  const auto own = read_proc_stat(status.tgid);
  receiver.reparented = !own || own->ppid != process.ppid;
  const auto parent = processes_.find(process.ppid);
  receiver.parent_has_threads = parent != processes_.end() && parent->second.had_threads;
  receiver.system_call = read_tracee_system_call(tid);
  const bool names_process =
      (info.si_code == SI_USER || info.si_code == SI_TKILL) && info.si_pid > 0 && !receiver.nested;
  const auto stat = names_process ? read_proc_stat(info.si_pid) : std::nullopt;
  const SignalOrigin origin = signal_origin(
      info, receiver, stat && !stat->exiting && stat->state != 'Z' && stat->state != 'X');
  sender.cause = origin.cause;
  if (origin.pid == 0) return sender;
  sender.pid = origin.pid == receiver.pid ? status.tgid : origin.pid;
  if (const auto known = processes_.find(sender.pid); known != processes_.end()) {
    sender.uid = known->second.uid;
    sender.comm = known->second.comm;
    sender.parent_pid = known->second.ppid;
    sender.parent_comm = known->second.parent_comm;
  }
  sender.uid = static_cast<uint32_t>(info.si_uid);
  // si_uid is of the receiver's user namespace.
  if (!in_own_user_namespace(tid)) {
    const auto its_status = read_tracee_status(sender.pid);
    if (!its_status)
      return {.cause = sender.cause, .signal = sender.signal, .stamp_ns = sender.stamp_ns};
    sender.uid = its_status->uid;
  }
  const auto its = sender.pid == info.si_pid ? stat : read_proc_stat(sender.pid);
  if (its) {
    sender.comm = its->comm;
    if (its->state != 'Z') sender.parent_pid = its->ppid;
    if (const auto its_parent = read_proc_stat(sender.parent_pid))
      sender.parent_comm = its_parent->comm;
  }
  return sender;
}

// ---------------------------------------------------------------------------------------------
// the end

void TraceLoop::on_end(pid_t tid) {
  if (!threads_.contains(tid)) adopt(tid);
  const auto found = processes_.find(tid);
  if (found == processes_.end()) {
    (void)::waitpid(tid, nullptr, __WALL | __WNOTHREAD);
    threads_.erase(tid);
    return;
  }
  Process process = std::move(found->second);
  processes_.erase(found);
  threads_.erase(tid);
  ring_.set_live(processes_.size());
  const auto stat = read_proc_stat(tid);
  refresh(tid, process, stat ? &*stat : nullptr);
  refresh_parent_comm(process, stat ? &*stat : nullptr);
  const std::string cgroup =
      options_.names ? read_tracee_file(tid, "cgroup", kCgroupBytes) : std::string();
  int status = 0;
  const uint64_t ended_ns = clock_.monotonic_ns();
  // From here on its parent can wait for it.
  const bool reaped = ::waitpid(tid, &status, __WALL | __WNOTHREAD) == tid;
  TracedEvent event = event_of(TracedFacts::Type::kExit, tid, process);
  event.stamp_ns = ended_ns;
  event.cgroup = cgroup;
  event.wait_status = status;
  if (stat) event.exit_signal = static_cast<uint32_t>(std::max(stat->exit_signal, 0));
  event.last_sender = process.request;
  if (WIFSIGNALED(status)) {
    const auto signal = static_cast<uint32_t>(WTERMSIG(status));
    event.killer.signal = signal;
    // All but SIGKILL, which has no stop, and the signals that the kernel forces on a process
    // without a stop, as seccomp's SIGSYS.
    const auto noted = std::ranges::find(process.deadly, signal, &Sender::signal);
    if (noted != process.deadly.end())
      event.killer = *noted;
    else if (signal != SIGKILL && !process.unread_signal)
      event.killer.cause = KNELL_CAUSE_KERNEL;
  }
  if (reaped) push(event);
}

// ---------------------------------------------------------------------------------------------
// details

void TraceLoop::refresh(pid_t pid, Process& process, const ProcStat* stat) const {
  if (stat != nullptr) {
    process.has_tty = true;
    process.tty = stat->tty;
    process.has_comm = true;
    process.comm = stat->comm;
  }
  if (!options_.names) return;
  if (const auto status = read_tracee_status(pid)) {
    process.has_ids = true;
    process.uid = status->uid;
    process.gid = status->gid;
  }
}

// `stat`: of the process. A parent that is not the one at birth any more keeps the name it had.
void TraceLoop::refresh_parent_comm(Process& process, const ProcStat* stat) const {
  if (!options_.names || stat == nullptr || process.ppid == 0 || stat->ppid != process.ppid) return;
  if (const auto parent = read_proc_stat(process.ppid)) {
    process.has_parent_comm = true;
    process.parent_comm = parent->comm;
    process.parent_start = parent->start;
  }
}

std::shared_ptr<const TraceLoop::Image> TraceLoop::read_image(pid_t pid) const {
  auto image = std::make_shared<Image>();
  if (!options_.programs) return image;
  image->args = read_tracee_file(pid, "cmdline", kArgsBytes + 1);
  image->args_truncated = image->args.size() > kArgsBytes;
  if (image->args_truncated) image->args.resize(kArgsBytes);
  image->has_args = !image->args.empty();
  if (image->has_args && image->args.back() != '\0') image->args.push_back('\0');
  image->args.shrink_to_fit();
  image->exe = read_tracee_link(pid, "exe");
  image->cwd = read_tracee_link(pid, "cwd");
  return image;
}

TracedEvent TraceLoop::event_of(TracedFacts::Type type, pid_t pid, const Process& process) const {
  TracedEvent event;
  event.type = type;
  event.stamp_ns = clock_.monotonic_ns();
  event.pid = event.tid = pid;
  event.start_ticks = process.start;
  event.ppid = process.ppid;
  event.parent_start_ticks = process.parent_start;
  event.has_comm = process.has_comm;
  event.comm = process.comm;
  event.has_parent_comm = process.has_parent_comm;
  event.parent_comm = process.parent_comm;
  event.has_ids = process.has_ids;
  event.uid = process.uid;
  event.gid = process.gid;
  event.has_tty = process.has_tty;
  event.tty = process.tty;
  if (process.image) {
    event.has_args = process.image->has_args;
    event.args_truncated = process.image->args_truncated;
    event.args = process.image->args;
    event.exe = process.image->exe;
    event.cwd = process.image->cwd;
  }
  return event;
}

void TraceLoop::push(const TracedEvent& event) {
  if (ring_.push(event)) wake_();
}

}  // namespace knell::source
