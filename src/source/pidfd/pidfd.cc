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
#include <tuple>

#include "base/named_process.h"
#include "base/proc_stat.h"
#include "base/time_namespace.h"
#include "event/string_views.h"

// A process has ended when its pidfd becomes readable: all its threads are dead, its memory and
// descriptors are released, and the kernel has notified its parent. Its status is read from the
// first of these sources that has it:
//   - the pidfd, if the process is reaped: the kernel keeps the status there (Linux 6.15);
//   - waitid() with WNOWAIT, if it is our own child, which leaves it for the program to reap;
//   - field 52 of /proc/PID/stat, if it is a zombie and we have ptrace access to it.
// If none has it, and the kernel will have it after the reap, the end is reported when the process
// is reaped, but at most one second after its death, because a parent may never reap it. After that
// second, and on older kernels immediately, the end is reported with an unknown status. A caller
// that waits no longer gets it before: report_unreaped().
//
// The details were read when the process was added. Since then it may have called exec, which a
// pidfd does not report. So its name is read again when it is dead: if the name has changed, the
// program's details are omitted. This does not detect an exec of a program with the same name, or
// any exec if the process was reaped before its name could be read.
//
// All pidfds are in one epoll set, whose descriptor fd() returns. The pidfd of a process that waits
// to be reaped is watched for EPOLLHUP only. A timer in the same set ends the wait. The timeout is
// the same for all processes, so the waiting ones are a simple queue.
namespace knell::source {
namespace {

constexpr uint64_t kReapPatienceNs = 1'000'000'000;
constexpr uint64_t kTimerKey = 0;  // no process has pid 0
constexpr int kBatch = 64;         // chosen, not measured

// The pidfd in the key distinguishes a process from a later one with the same pid.
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
                         " already watched: raise the limit of open files (ulimit -n)");
}

// `last_comm`: the name of the process when it was dead. If it differs from the name when the
// process was added, the process has called exec.
void take_last_comm(Slot& slot, const event::Comm& last_comm) {
  knell_event& event = slot.event;
  if (event.comm.data == nullptr || last_comm == slot.comm) return;
  slot.comm = last_comm;
  event.comm = event::known_view_of(slot.comm);
  event.args = event.exe = event.cwd = {};
  event.flags &= ~uint32_t{KNELL_FLAG_ARGS_TRUNCATED};
}

}  // namespace

PidfdSource::PidfdSource(UniqueFd epoll, UniqueFd timer, process::ProcReader proc, Output& out)
    : epoll_(std::move(epoll)),
      timer_(std::move(timer)),
      proc_(std::move(proc)),
      out_(out),
      table_(proc_, out.clock(), out.time(), out.boot()) {
  if (!out.sink().wants_user_names()) table_.users().disable();
}

Result<std::unique_ptr<PidfdSource>> PidfdSource::create(Output& out) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("watch processes");
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return errno_error("make a timer");
  if (!watch(epoll.get(), EPOLL_CTL_ADD, timer.get(), EPOLLIN, kTimerKey)) {
    return errno_error("watch a timer");
  }
  KNELL_ASSIGN(auto proc, process::ProcReader::open());
  return std::unique_ptr<PidfdSource>(
      new PidfdSource(std::move(epoll), std::move(timer), std::move(proc), out));
}

// The table is not scanned: a process is read when it is added.
Result<void> PidfdSource::set_request(const SourceRequest& wanted) {
  const bool more = table_.keep({.details = wanted.details,
                                 .owners = wanted.owners || wanted.namespaces,
                                 .namespaces = wanted.namespaces});
  if (more) processes_.for_each([&](int32_t pid, Process& process) { read(pid, process); });
  return {};
}

Result<void> PidfdSource::add_pid(int32_t pid, uint64_t start) {
  if (pid <= 0) return say(EINVAL, "a process id must be above 0, not " + std::to_string(pid));
  auto pidfd = try_pidfd_open(pid);
  if (!pidfd && pidfd.error() == EMFILE) return no_descriptor(pid, size());
  if (!pidfd) return no_pidfd(pid, pidfd.error());
  if (start != 0) {
    // Read after pidfd_open(): if the start matches now, the pidfd is of this process too.
    const auto stat = read_proc_stat(pid);
    if (!stat && errno == EMFILE) return no_descriptor(pid, size());
    if (!stat || stat->start != start) {
      return say(ESRCH, "process " + std::to_string(pid) + " is gone");
    }
  }
  return add(pid, *std::move(pidfd));
}

Result<void> PidfdSource::add(int32_t pid, UniqueFd pidfd) {
  if (has(pid)) return say(EEXIST, "process " + std::to_string(pid) + " is already watched");
  // Detects the features of this kernel while there are descriptors left for the test.
  std::ignore = pidfd_features();
  if (!watch(epoll_.get(), EPOLL_CTL_ADD, pidfd.get(), EPOLLIN, key_of(pid, pidfd.get()))) {
    return errno_error("watch process " + std::to_string(pid));
  }
  Process& process = *processes_.emplace(pid).first;
  process.pidfd = std::move(pidfd);
  read(pid, process);
  return {};
}

Result<void> PidfdSource::add_dying(int32_t pid, UniqueFd pidfd) {
  KNELL_TRY(add(pid, std::move(pidfd)));
  processes_.find(pid)->dying = true;
  return {};
}

// Reads the details for its exit event, since they cannot be read after the process was reaped.
void PidfdSource::read(int32_t pid, Process& process) {
  const uint64_t now = out_.clock().monotonic_ns();
  const bool dead = is_dead(process.pidfd.get());
  table_.read_one(pid);
  const process::Task* task = table_.at(pid, now);
  if (task == nullptr || task->read_ns < now) return;  // it was reaped before
  if (process.start == 0) process.start = task->start;
  if (process.start != task->start) return;  // it was reaped, and its pid is reused
  process.read_dead = dead;
  process.read_late = dead || is_dead(process.pidfd.get());
  if (table_.kept().owners) read_owner(pid, process);
}

void PidfdSource::read_owner(int32_t pid, Process& process) {
  const uint64_t now = out_.clock().monotonic_ns();
  process.uid = table_.uid_of(pid, now);
  if (!table_.kept().namespaces) return;
  const process::ProcessTable::Numbers numbers = table_.numbers_of(pid, now);
  process.levels_known = numbers.known;
  process.levels.clear();
  for (const event::NamespacePid& number : numbers.of)
    process.levels.push_back({.ns = number.ns, .pid = number.nr, .tid = number.nr});
}

Result<void> PidfdSource::remove_pid(int32_t pid) {
  if (processes_.find(pid) == nullptr) {
    return say(ENOENT, "process " + std::to_string(pid) + " is not watched");
  }
  forget(pid);
  return {};
}

void PidfdSource::forget(int32_t pid) {
  // Closing is not enough: a forked copy of the descriptor would keep it in the epoll set.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, processes_.find(pid)->pidfd.get(), nullptr);
  processes_.erase(pid);
  table_.forget(pid);
}

Capabilities PidfdSource::capabilities() const {
  return {.types = KNELL_EVENT_EXIT, .kernel_filter = false, .buffer_bytes = 0};
}

Counters PidfdSource::counters() const {
  return {.received = reported_,
          .processes = table_.size(),
          .process_bytes = table_.bytes(),
          .forgotten = table_.forgotten()};
}

Result<Drained> PidfdSource::drain(size_t bound) {
  size_t reported = 0;
  bool timer = false;
  for (;;) {
    if (reported >= bound) return Drained::kMore;
    std::array<epoll_event, kBatch> ready;
    const int room = static_cast<int>(std::min<size_t>(bound - reported, kBatch));
    const int count = ::epoll_wait(epoll_.get(), ready.data(), room, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error("wait for processes");
    size_t processes = 0;
    for (int i = 0; i < count; i++) {
      const uint64_t key = ready[static_cast<size_t>(i)].data.u64;
      if (key == kTimerKey) {
        timer = true;
        continue;
      }
      ++processes;
      if (on_ready(pid_of(key), pidfd_of(key))) ++reported;
    }
    if (processes == 0) break;
  }
  if (timer) reported += report_waiting(out_.clock().monotonic_ns(), bound - reported);
  if (reported >= bound) return Drained::kMore;
  return reported > 0 ? Drained::kSome : Drained::kEmpty;
}

// The process of `pidfd` is dead. Returns whether its end was reported.
bool PidfdSource::on_ready(int32_t pid, int pidfd) {
  Process* process = processes_.find(pid);
  if (process == nullptr || process->pidfd.get() != pidfd) return false;  // removed meanwhile
  read_last_comm(pid, *process);
  std::optional<int32_t> status = exit_info(pidfd);
  if (!status) status = child_status(pidfd);
  if (!status) status = zombie_status(pid);
  if (!status) status = exit_info(pidfd);  // reaped in the meantime
  if (!status && process->until_ns == 0 && pidfd_features().exit_info) {
    wait_for_reap(pid, *process);
    return false;
  }
  report(pid, status);
  return true;
}

// Reads the name of a dead process before it is reaped.
void PidfdSource::read_last_comm(int32_t pid, Process& process) {
  if (process.read_dead || process.last_comm) return;
  const process::Task* task = table_.at(pid, out_.clock().monotonic_ns());
  const process::ProcFolder folder = task != nullptr ? proc_.folder(pid) : process::ProcFolder();
  const auto stat = folder ? folder.stat() : std::nullopt;
  if (!stat || stat->start != process.start) return;
  process.last_comm = stat->comm;
  if (stat->comm != task->comm) table_.read_one(pid);  // reads the ids again
}

void PidfdSource::wait_for_reap(int32_t pid, Process& process) {
  process.until_ns = out_.clock().monotonic_ns() + kReapPatienceNs;
  waiting_.emplace_back(pid, process.until_ns);
  watch(epoll_.get(), EPOLL_CTL_MOD, process.pidfd.get(), 0, key_of(pid, process.pidfd.get()));
  if (waiting_.size() == 1) arm();
}

// Reports the processes that wait to be reaped until this time or an earlier one.
size_t PidfdSource::report_waiting(uint64_t until_ns, size_t bound) {
  size_t reported = 0;
  while (reported < bound && !waiting_.empty() && waiting_.front().second <= until_ns) {
    const auto [pid, its_until_ns] = waiting_.front();
    waiting_.pop_front();
    const Process* process = processes_.find(pid);
    if (process == nullptr || process->until_ns != its_until_ns) continue;
    report(pid, exit_info(process->pidfd.get()));
    ++reported;
  }
  arm();
  return reported;
}

void PidfdSource::report(int32_t pid, std::optional<int32_t> status) {
  const Process process = std::move(*processes_.find(pid));
  ++reported_;
  uint64_t start = 0;
  const uint64_t now = out_.clock().monotonic_ns();
  if (Slot* slot = out_.begin(KNELL_EVENT_EXIT, KNELL_VIA_PIDFD, pid, pid, now)) {
    knell_event& event = slot->event;
    if (status) {
      event.has |= KNELL_HAS_STATUS;
      event.wait_status = *status;
    }
    table_.describe(*slot, pid, process::ProcessTable::ReadProc::kNo, process.start);
    if (process.last_comm) take_last_comm(*slot, *process.last_comm);
    if (process.uid && (event.has & KNELL_HAS_UID) == 0) {
      event.has |= KNELL_HAS_UID;
      event.uid = *process.uid;
    }
    if (process.dying || process.read_late) note_late_details(event, table_.kept().details);
    slot->levels = out_.batch().copy(process.levels);
    slot->levels_known = process.levels_known;
    if (event.id.kind == KNELL_ID_START) start = event.id.start;
    out_.commit(*slot, filter::NoAncestry());
  }
  table_.forget(pid);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, process.pidfd.get(), nullptr);
  processes_.erase(pid);
  // Must be last, since it may add the same pid again
  out_.sink().on_process_ended(pid, start, process.levels);
}

// Sets the timer for the first waiting process. A time that has passed expires at once.
void PidfdSource::arm() {
  itimerspec when{};
  if (!waiting_.empty()) when.it_value = timer_time(waiting_.front().second);
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace knell::source
