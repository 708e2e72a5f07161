// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/ptrace_source.h"

#include <knell/knell.h>
#include <sys/epoll.h>

#include "base/named_process.h"
#include "event/string_views.h"
#include "event/tty.h"
#include "process/proc_reader.h"

namespace knell::source {
namespace {

using Type = TracedFacts::Type;
constexpr uint32_t kTypes = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;

uint32_t type_of(const TracedEvent& traced) {
  switch (traced.type) {
    case Type::kFork:
      return KNELL_EVENT_FORK;
    case Type::kExec:
      return KNELL_EVENT_EXEC;
    default:
      return KNELL_EVENT_EXIT;
  }
}

}  // namespace

Result<std::unique_ptr<PtraceSource>> PtraceSource::create(const SourceRequest& wanted,
                                                           Output& out) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("make an epoll descriptor");
  std::unique_ptr<PtraceSource> source(new PtraceSource(std::move(epoll), out));
  KNELL_TRY(source->set_request(wanted));
  return source;
}

Result<void> PtraceSource::set_request(const SourceRequest& wanted) {
  mask_ = wanted.mask & (kTypes | KNELL_EVENT_NONZERO_EXIT);
  details_ = wanted.details;
  return {};
}

Result<void> PtraceSource::add_pid(int32_t pid, uint64_t start) {
  if (tracer_ != nullptr)
    return say(EBUSY, "ptrace traces one process and what it forks, and one was added already");
  KNELL_TRY(open_named_process(pid, start));
  Tracer::Options options;
  options.details.names = details_ != KNELL_DETAILS_STATUS;
  options.details.programs = details_ == KNELL_DETAILS_FULL;
  KNELL_ASSIGN(auto tracer, Tracer::create(pid, options));
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, tracer->fd(), &event) != 0)
    return errno_error("poll the tracer");
  tracer_ = std::move(tracer);
  last_ns_ = out_.clock().monotonic_ns();
  return {};
}

Capabilities PtraceSource::capabilities() const {
  return {.types = kTypes, .buffer_bytes = Tracer::Options().queue_bytes};
}

Result<Drained> PtraceSource::drain(size_t bound) {
  if (tracer_ == nullptr) return Drained::kEmpty;
  size_t read = 0;
  for (; read < bound; ++read) {
    const auto traced = tracer_->next();
    if (!traced) break;
    ++received_;
    if (traced->type == Type::kLost)
      add_hole(*traced);
    else if (traced->type == Type::kReleased)
      add_release(*traced);
    else
      add(*traced);
    last_ns_ = traced->stamp_ns;
  }
  if (read == bound) return Drained::kMore;
  if (tracer_->ended() != Tracer::End::kNot) report_end();
  return read > 0 ? Drained::kSome : Drained::kEmpty;
}

// If the tracer was killed, processes may be left whose events are lost.
void PtraceSource::report_end() {
  const bool killed = tracer_->ended() == Tracer::End::kKilled;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, tracer_->fd(), nullptr);
  tracer_.reset();
  if (!killed) return;
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = out_.clock().monotonic_ns();
  hole.u.lost.from_ns = last_ns_;
  hole.u.lost.types = kTypes;
  out_.add_hole(hole, KNELL_VIA_PTRACE, false);
}

void PtraceSource::add_hole(const TracedEvent& traced) {
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = traced.stamp_ns;
  hole.u.lost.from_ns = last_ns_;
  hole.u.lost.count = traced.lost_forks + traced.lost_execs + traced.lost_exits;
  // Of the processes that were released no number of events is known.
  hole.u.lost.counted = hole.u.lost.exact = traced.lost_releases == 0;
  if (traced.lost_releases != 0) hole.u.lost.types = kTypes;
  if (traced.lost_forks != 0) hole.u.lost.types |= KNELL_EVENT_FORK;
  if (traced.lost_execs != 0) hole.u.lost.types |= KNELL_EVENT_EXEC;
  if (traced.lost_exits != 0) hole.u.lost.types |= KNELL_EVENT_EXIT;
  lost_ += hole.u.lost.count;
  out_.add_hole(hole, KNELL_VIA_PTRACE, true);
}

// The process lives on, and its events and those of what it forks are not seen any more.
void PtraceSource::add_release(const TracedEvent& traced) {
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = hole.u.lost.from_ns = traced.stamp_ns;
  hole.u.lost.types = kTypes;
  out_.add_hole(hole, KNELL_VIA_PTRACE, false);
}

void PtraceSource::add(const TracedEvent& traced) {
  Slot* slot = out_.begin(type_of(traced), KNELL_VIA_PTRACE, traced.pid,
                          traced.tid != 0 ? traced.tid : traced.pid, traced.stamp_ns);
  if (slot != nullptr) {
    fill(*slot, traced);
    if (traced.type == Type::kExit) fill_exit(*slot, traced);
    out_.commit(*slot, filter::NoAncestry());
  }
  if (traced.type == Type::kExit) out_.sink().on_process_ended(traced.pid, traced.start_ticks, {});
}

void PtraceSource::fill(Slot& slot, const TracedEvent& traced) {
  knell_event& event = slot.event;
  event.id = id_of(traced.pid, traced.start_ticks);
  if (traced.ppid > 0) {
    event.ppid = traced.ppid;
    event.parent_id = id_of(traced.ppid, traced.parent_start_ticks);
  }
  if (traced.type == Type::kFork) {
    event.child_pid = event.child_tid = traced.child_pid;
    event.child_id = id_of(traced.child_pid, traced.child_start_ticks);
  }
  if (traced.has_comm) {
    slot.comm = traced.comm;
    event.comm = event::known_view_of(slot.comm);
  }
  if (traced.has_parent_comm) {
    slot.parent_comm = traced.parent_comm;
    event.parent_comm = event::known_view_of(slot.parent_comm);
  }
  if (traced.has_ids) {
    event.has |= KNELL_HAS_UID | KNELL_HAS_GID;
    event.uid = traced.uid;
    event.gid = traced.gid;
    const process::UserNames::Name& user = users_.find(traced.uid);
    slot.user = user;
    if (user != nullptr) event.user = event::view_of(*user);
  }
  if (traced.has_tty) {
    slot.tty = event::tty_name(traced.tty);
    event.tty = event::view_of(slot.tty);
  }
  if (traced.has_args) event.args = out_.batch().copy(traced.args, event::Batch::Ended::kYes);
  if (traced.args_truncated) event.flags |= KNELL_FLAG_ARGS_TRUNCATED;
  if (traced.privileges_withheld) event.flags |= KNELL_FLAG_PRIVILEGES_WITHHELD;
  if (traced.released != Released::kNo) event.flags |= KNELL_FLAG_NOT_FOLLOWED;
  if (!traced.exe.empty()) event.exe = out_.batch().copy(traced.exe);
  if (!traced.cwd.empty()) event.cwd = out_.batch().copy(traced.cwd);
  const std::string_view path = process::cgroup_path(traced.cgroup);
  if (path.empty()) return;
  const auto cgroup = cgroups_.intern(path);
  slot.cgroup = cgroup;
  process::fill_cgroup(event, cgroup.get());
}

void PtraceSource::fill_exit(Slot& slot, const TracedEvent& traced) const {
  knell_event& event = slot.event;
  event.has |= KNELL_HAS_STATUS;
  event.wait_status = traced.wait_status;
  event.exit_signal = traced.exit_signal;
  const uint64_t over_ns = out_.time().boottime_ns(traced.stamp_ns);
  const uint64_t born_ns = traced.start_ticks * process::Timebase::kTickNs;
  if (born_ns != 0 && born_ns <= over_ns) {
    event.has |= KNELL_HAS_DURATION;
    event.duration_ns = over_ns - born_ns;
  }
  const auto fill_sender = [](auto& to, event::Comm& comm, event::Comm& parent_comm,
                              const Sender& sender) {
    if (sender.pid == 0) return;
    to.pid = sender.pid;
    to.uid = sender.uid;
    comm = sender.comm;
    to.comm = event::view_of(comm);
    parent_comm = sender.parent_comm;
    to.parent_comm = event::view_of(parent_comm);
  };
  if (traced.killer.cause != 0) {
    event.has |= KNELL_HAS_KILLER;
    event.killed_by.cause = traced.killer.cause;
    event.killed_by.parent_pid = traced.killer.parent_pid;
    fill_sender(event.killed_by, slot.killer_comm, slot.killer_parent_comm, traced.killer);
  }
  if (traced.last_sender.signal == 0) return;
  event.has |= KNELL_HAS_LAST_SIGNAL;
  event.last_signal.signal = static_cast<int32_t>(traced.last_sender.signal);
  if (traced.last_sender.stamp_ns < traced.stamp_ns)
    event.last_signal.ago_ns = traced.stamp_ns - traced.last_sender.stamp_ns;
  fill_sender(event.last_signal, slot.last_sender_comm, slot.last_sender_parent_comm,
              traced.last_sender);
}

knell_id PtraceSource::id_of(int32_t pid, uint64_t start_ticks) const {
  if (start_ticks == 0) return {out_.boot(), pid, 0, KNELL_ID_NONE};
  return {out_.boot(), pid, start_ticks, KNELL_ID_START};
}

}  // namespace knell::source
