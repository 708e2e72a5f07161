// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Reads the socket of the connector and passes the events of threads to the assembler, which puts
// finished events into the output. After each read the assembler decides which processes have
// ended, for which the socket may have to be read once more; see exit_tracker.cc.
#include "source/connector/connector_source.h"

#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/named_process.h"
#include "base/pidfd.h"

namespace knell::source {
namespace {

// Data of the socket in the epoll set; all other data are pids
constexpr uint64_t kSocketTag = uint64_t{1} << 32;
// Entries to check in a drain, besides those for births: a drain may read only one event
constexpr size_t kSweepADrain = 1;
constexpr size_t kSweepACheck = 4096;  // entries to check with each health check; takes about 1 ms

// Half of the descriptors that this process may open, less a few: the rest is for the program
// itself.
size_t most_watched() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 16;
  const size_t all = std::min<size_t>(limit.rlim_cur, 8192);
  return all < 64 ? 1 : all / 2 - 16;
}

}  // namespace

ThreadRequest thread_request(const SourceRequest& wanted) {
  ThreadRequest asked{.mask = wanted.mask};
  const bool process_level = wanted.level == KNELL_LEVEL_PROCESS;
  // The names of a process at its exit are known only from its fork and its later changes.
  if (wanted.details != KNELL_DETAILS_STATUS) {
    asked.mask |= KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_COMM | KNELL_EVENT_UID |
                  KNELL_EVENT_GID | KNELL_EVENT_SID;
  }
  if (!wanted.roots.empty()) asked.mask |= KNELL_EVENT_FORK;
  if (wanted.lifetimes) asked.mask |= KNELL_EVENT_FORK | KNELL_EVENT_EXIT;
  // A process's uid and namespaces are followed from its fork.
  if (wanted.owners || wanted.namespaces)
    asked.mask |= KNELL_EVENT_FORK | KNELL_EVENT_UID | KNELL_EVENT_EXIT;
  if (!process_level || (asked.mask & kAnyExit) == 0) return asked;
  // A COREDUMP event names the thread whose EXIT will have the core bit; see exit_tracker.cc. It is
  // rare, so the cost is negligible.
  asked.mask |= KNELL_EVENT_COREDUMP;
  // Which EXIT ends a process is certain only if its threads were counted; see exit_tracker.cc.
  if ((asked.mask & KNELL_EVENT_EXIT) != 0 && (asked.mask & KNELL_EVENT_FORK) == 0) {
    asked.mask |= KNELL_EVENT_FORK;
    asked.forks_of_threads_only = true;
  }
  return asked;
}

ConnectorSource::ConnectorSource(Output& out, process::ProcReader proc, UniqueFd epoll)
    : out_(out),
      proc_(std::move(proc)),
      epoll_(std::move(epoll)),
      probe_(epoll_.get(), out.clock()),
      sweep_(kSweepADrain) {}

Result<std::unique_ptr<ConnectorSource>> ConnectorSource::create(
    const ConnectorSourceOptions& options, const SourceRequest& wanted, Output& out) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("make an epoll descriptor");
  KNELL_ASSIGN(auto proc, process::ProcReader::open());
  std::unique_ptr<ConnectorSource> source(
      new ConnectorSource(out, std::move(proc), std::move(epoll)));
  KNELL_TRY(source->start(options, wanted));
  return source;
}

Result<void> ConnectorSource::start(const ConnectorSourceOptions& options,
                                    const SourceRequest& wanted) {
  asked_ = thread_request(wanted);
  ConnectorOptions connector;
  connector.wanted = asked_;
  if (options.kept != nullptr && !options.kept->socket.empty()) connector.kept = options.kept;
  if (options.buffer_bytes != 0) connector.buffer_bytes = options.buffer_bytes;
  KNELL_ASSIGN(connector_, Connector::create(connector));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kSocketTag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connector_->fd(), &event) != 0)
    return errno_error("poll the socket of the connector");
  assembler_.emplace(AssemblerOptions{.level = wanted.level,
                                      .most_watched = most_watched(),
                                      .limits = {},
                                      .births = options.births},
                     out_, proc_, probe_);
  return {};
}

Result<void> ConnectorSource::set_request(const SourceRequest& wanted) {
  const ThreadRequest asked = thread_request(wanted);
  KNELL_TRY(connector_->set_request(asked));
  asked_ = asked;
  return assembler_->set_request(wanted, asked.mask);
}

Result<void> ConnectorSource::add_pid(int32_t pid, uint64_t start) {
  // A zombie's EXIT may have been sent before the subscription, so its exit is detected by its
  // pidfd. If it dies later, its EXIT is received.
  KNELL_ASSIGN(UniqueFd pidfd, open_named_process(pid, start));
  if (!pidfd || !is_dead(pidfd.get())) return {};
  assembler_->follow_exit(pid, std::move(pidfd));
  follows_dead_ = true;
  return {};
}

uint64_t ConnectorSource::due_ns() const {
  return follows_dead_ || connector_->has_received() ? kDueNow : assembler_->due_ns();
}

// ----------------------------------------------------------------------------------------- reading

void ConnectorSource::take_wakeups() {
  std::array<epoll_event, 32> ready;
  const int count = ::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), 0);
  for (int i = 0; i < count; ++i) {
    const uint64_t data = ready[static_cast<size_t>(i)].data.u64;
    if (data != kSocketTag) assembler_->on_pidfd_readable(static_cast<int32_t>(data));
  }
}

Result<Drained> ConnectorSource::drain(size_t bound) {
  take_wakeups();
  follows_dead_ = false;
  KNELL_ASSIGN(Drained drained, read(bound));
  KNELL_ASSIGN(const bool more, settle());
  if (more) drained = Drained::kMore;
  if (drained == Drained::kMore)
    assembler_->sweep_ended();
  else
    assembler_->sweep(std::exchange(sweep_, kSweepADrain));
  return drained;
}

Result<Drained> ConnectorSource::read(size_t bound) {
  const uint64_t now = out_.clock().monotonic_ns();
  KNELL_ASSIGN(const Drained drained, connector_->drain(*this, bound));
  if (drained != Drained::kMore) assembler_->set_read_until(now);
  return drained;
}

// Decides which processes have ended, after reading their last EXITs. Returns whether there may be
// more to read or to decide.
Result<bool> ConnectorSource::settle() {
  bool more = false;
  while (assembler_->has_noted()) {
    const size_t dead = assembler_->probe_exits();
    const size_t most = out_.bound();
    if (dead > 0 && most > 0) {
      KNELL_ASSIGN(const Drained drained, read(most));
      more |= drained == Drained::kMore;
    }
    assembler_->finish();
    if (out_.batch().room() <= Output::kSpareSlots) {
      assembler_->drop_slots();
      return true;
    }
  }
  assembler_->finish();
  return more || out_.batch().room() == 0;
}

Result<void> ConnectorSource::check_health() {
  sweep_ = kSweepACheck;
  return connector_->check_health();
}

process::Tracked ConnectorSource::recoverable(const SourceRequest& wanted) const {
  if (wanted.level != KNELL_LEVEL_PROCESS) return process::Tracked::kNone;
  return wanted.any_pid || !wanted.pids.empty() ? process::Tracked::kAll : process::Tracked::kNamed;
}

Counters ConnectorSource::counters() const {
  Counters all = connector_->counters();
  const process::ProcessTable& table = assembler_->table();
  all.processes = table.size();
  all.process_bytes = table.bytes();
  all.forgotten = table.forgotten();
  return all;
}

}  // namespace knell::source
