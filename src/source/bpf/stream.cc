// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <knell/knell.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/named_process.h"
#include "base/time_namespace.h"
#include "source/bpf/bpf.h"

// Makes one stream from three rings.
//
// Order. A pass reads the clock (T), then the producer positions of all rings, then the records up
// to these positions. Then it has all records with stamps before T - kLateNs, since a program
// reserves the room of a record less than kLateNs after its stamp. It delivers these in the order
// of their stamps. Later records are held for the next pass, which follows immediately. If a ring
// has more records than a pass takes, the pass delivers only records up to the last one that it
// took from this ring. The exits of the map `unsent` are sorted and then read like a ring; they are
// moved out of the map after the clock was read.
//
// Exits. The details of an exit wait for its mark; see programs.bpf.c. There may be no mark: the
// parent ignores SIGCHLD, or the exit signal is 0, or the first process of a pid namespace ends and
// all processes inside with it, or a tracer reaps the last thread. So the reader checks each
// process whose mark is overdue: immediately if the details have the flag NO_MARK, otherwise after
// kPatienceNs. If the process has ended, the reader puts a mark of its own into the stream. This
// mark has the stamp of the details, which is the last stamp that the kernel gave for the process.
// If the process is still dying, the reader watches it by a pidfd. A timer in the epoll set causes
// the next check.
//
// Lost details. If the ring has no room for the details of an exit, the reader gets only its mark.
// It also gets only the mark if the process began to exit before a listener requested details, or
// this exit. Such events are older than the listener, and must not pass its predicates as exits
// with lost details do. The programs do not count lost details, so the reader uses the highest fill
// level of the ring.
//
// Loss. Every record has the number of records of its class that were lost so far. If that is more
// than was reported, there is a hole before this record. When there is nothing more to read, the
// counters of the programs show how many were lost after the last record.
namespace knell::source {
namespace {

// A program reserves the room of a record within this time after its stamp
constexpr uint64_t kLateNs = 2000;
constexpr size_t kBatch = 512;        // records taken from a ring in one pass; chosen, not measured
constexpr int kIdlePasses = 8;        // chosen, not measured: a pass takes about a microsecond
constexpr size_t kMostSpare = 256;    // chosen, not measured
constexpr size_t kMostWatched = 256;  // leaves descriptors for the program: the usual limit is 1024
// How long after its details a process is checked: most marks are sent sooner.
constexpr uint64_t kPatienceNs = 2'000'000;
constexpr uint64_t kCheckAgainNs =
    20'000'000;  // between checks of unwatched processes; chosen, not measured
// checks in one call; chosen, not measured: takes about 1 ms
constexpr size_t kMostChecks = 256;
constexpr uint64_t kTickNs = 10'000'000;  // the unit of start times in /proc

// Makes the missing mark for these details, with their stamp.
knell_mark mark_of(const Decoded& details) {
  knell_mark mark{};
  if (details.mark != nullptr) mark = *details.mark;
  mark.head.kind = KNELL_RECORD_MARK;
  mark.head.flags = 0;
  mark.head.stamp_ns = details.head->stamp_ns;
  mark.pid = details.pid();
  mark.start_ns = details.start_ns();
  mark.status = details.status();
  if (details.process != nullptr) mark.signal = details.process->signal;
  return mark;
}

bool is_readable(int fd) {
  pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, 0) > 0;
}

}  // namespace

// -------------------------------------------------------------------------------------- order

Result<Drained> Bpf::drain(size_t bound) {
  if (bound == 0) return held_.empty() && rings_empty() ? Drained::kEmpty : Drained::kMore;
  restored_ = false;
  take_wakeups();
  report_lost_births();
  report_missing();
  const uint64_t before = received_;
  size_t reported = 0;
  bool passed_since_death = false;
  for (int idle = 0; idle < kIdlePasses;) {
    const size_t reported_before = reported;
    KNELL_ASSIGN(const bool left, pass(bound, reported));
    if (reported >= bound) return Drained::kMore;
    if (!left) {
      if (!report_last_losses()) {
        if (check_overdue()) continue;
        // A process that is dead now may have put its mark into a ring since the last pass.
        if (dying_ != nullptr && !passed_since_death && is_readable(dying_->fd())) {
          passed_since_death = true;
          continue;
        }
        set_timer();
        if (dying_ != nullptr) return drain_dying(bound - reported, received_ != before);
        return received_ != before ? Drained::kSome : Drained::kEmpty;
      }
      if (++reported >= bound) return Drained::kMore;
    }
    if (reported == reported_before) ++idle;
  }
  return Drained::kMore;
}

// Call after the rings were read. A later mark is not reported again.
Result<Drained> Bpf::drain_dying(size_t bound, bool any) {
  KNELL_ASSIGN(const Drained drained, dying_->drain(bound));
  std::erase_if(dying_starts_, [&](const auto& one) {
    if (dying_->has(one.first)) return false;
    reported_exits_.note(one.first, one.second);
    return true;
  });
  return drained == Drained::kEmpty && any ? Drained::kSome : drained;
}

// Makes one pass. Returns whether records are left. Adds the number of reported events to
// `reported`.
Result<bool> Bpf::pass(size_t bound, size_t& reported) {
  items_.clear();
  for (size_t i = 0; i < held_.size(); i++)
    items_.push_back(
        {held_[i].stamp_ns, held_[i].record(), static_cast<int32_t>(i), static_cast<uint32_t>(i)});
  // First deliver the records that an earlier pass sorted but did not deliver because of `bound`;
  // this pass then reads nothing else.
  const bool rest =
      std::ranges::any_of(held_, [&](const Held& held) { return held.stamp_ns <= held_until_ns_; });
  if (!rest) {
    KNELL_ASSIGN(held_until_ns_, collect());
  }
  const auto order = [](const Item& item) { return std::pair(item.stamp_ns, item.place); };
  if (!std::ranges::is_sorted(items_, {}, &Item::stamp_ns)) std::ranges::sort(items_, {}, order);
  size_t next = 0;
  while (next < items_.size() && items_[next].stamp_ns <= held_until_ns_ && reported < bound) {
    bool again = false;
    if (deliver(items_[next], again)) ++reported;
    if (!again) ++next;
  }
  waiting_.keep();
  hold_from(next);
  if (kept_ == nullptr)  // otherwise saved() does
    for (Ring& ring : rings_) ring.release();
  unsent_.release();
  return !held_.empty() || !rings_empty();
}

// Reads the rings and unsent_ into items_. Returns a stamp: items_ has all records with stamps up
// to it.
Result<uint64_t> Bpf::collect() {
  uint64_t until = clock_.monotonic_ns() - kLateNs;
  if (const uint64_t lost = unsent_.take_all(programs_.losses().unsent)) report_unread(lost, until);
  for (Ring& ring : rings_) ring.begin_pass();
  for (Ring& ring : rings_) {
    uint64_t last = 0;
    size_t taken = 0;
    while (taken < kBatch) {
      const auto record = ring.next();
      if (!record) break;
      ++taken;
      if (record->size() < sizeof(knell_record))
        return say(EPROTO, "a ring buffer of events is corrupt");
      last = reinterpret_cast<const knell_record*>(record->data())->stamp_ns;
      items_.push_back({last, *record, -1, static_cast<uint32_t>(items_.size())});
    }
    if (ring.broken()) return say(EPROTO, "a ring buffer of events is corrupt");
    received_ += taken;
    // If the first record is still being written, nothing was taken and `last` is 0: then no record
    // may be delivered.
    if (ring.stuck()) until = std::min(until, last < kLateNs ? 0 : last - kLateNs);
  }
  size_t taken = 0;
  uint64_t last = 0;
  for (; taken < kBatch; ++taken) {
    const auto record = unsent_.next(until);
    if (!record) break;
    last = reinterpret_cast<const knell_record*>(record->data())->stamp_ns;
    items_.push_back({last, *record, -1, static_cast<uint32_t>(items_.size())});
  }
  received_ += taken;
  return unsent_.has_until(until) ? last : until;
}

// Moves the undelivered items into held_; those that are in rings are copied.
void Bpf::hold_from(size_t first) {
  if (first == items_.size() && held_.empty()) return;
  std::vector<Held> kept;
  size_t seen = 0;
  for (size_t i = 0; i < items_.size(); i++) {
    const Item& item = items_[i];
    if (item.held >= 0) {
      Held& held = held_[static_cast<size_t>(item.held)];
      ++seen;
      if (i >= first)
        kept.push_back(std::move(held));
      else if (spare_.size() < kMostSpare)
        spare_.push_back(std::move(held.storage));
    }
  }
  // Records that hold() added during this pass.
  for (size_t i = seen; i < held_.size(); i++) kept.push_back(std::move(held_[i]));
  held_ = std::move(kept);
  for (size_t i = first; i < items_.size(); i++)
    if (items_[i].held < 0) hold(items_[i].stamp_ns, items_[i].record);
}

void Bpf::hold(uint64_t stamp_ns, std::string_view record) {
  Held held;
  if (!spare_.empty()) {
    held.storage = std::move(spare_.back());
    spare_.pop_back();
  }
  held.stamp_ns = stamp_ns;
  held.bytes = record.size();
  held.storage.resize((record.size() + 7) / 8);
  std::memcpy(held.storage.data(), record.data(), record.size());
  held_.push_back(std::move(held));
}

void Bpf::add_record_for_testing(std::string_view record) {
  hold(reinterpret_cast<const knell_record*>(record.data())->stamp_ns, record);
}

bool Bpf::rings_empty() const {
  return std::ranges::all_of(rings_, [](const Ring& ring) { return ring.empty(); }) &&
         unsent_.empty(programs_.losses().unsent);
}

// ------------------------------------------------------------------------------------- events

// Returns whether an event or a loss was added to the output. `again`: the addition precedes this
// item, so the item must be delivered again.
bool Bpf::deliver(const Item& item, bool& again) {
  const auto decoded = decode(item.record);
  // Malformed; does not happen, since the programs and this reader are built together
  if (!decoded) return false;
  const knell_record& head = *decoded->head;
  const bool exit = head.kind == KNELL_RECORD_DETAILS || head.kind == KNELL_RECORD_MARK ||
                    head.kind == KNELL_RECORD_THREAD_EXIT;
  const Class of = exit ? kExits : kOthers;
  if (report_loss(of, head.lost, head.stamp_ns)) {
    again = true;
    return true;
  }
  // A mark that the reader made does not count the losses.
  if ((head.flags & KNELL_RECORD_RELEASED) == 0)
    last_ns_[of] = std::max<uint64_t>(last_ns_[of], head.stamp_ns);
  if (decoded->cgroup != nullptr) {
    builder_.cgroups().change({.inode = decoded->cgroup->inode,
                               .path = decoded->path,
                               .parent = decoded->cgroup->parent,
                               .renamed = (head.flags & KNELL_RECORD_RENAMED) != 0});
    return false;
  }
  if (head.kind == KNELL_RECORD_DETAILS ||
      (decoded->mark != nullptr && (head.flags & KNELL_RECORD_NO_MARK) != 0)) {
    return await(*decoded, item.record, again);
  }
  if (decoded->mark != nullptr) return deliver_mark(*decoded->mark);
  builder_.add(*decoded, roots_.translate(decoded->process->roots));
  return true;
}

bool Bpf::deliver_mark(const knell_mark& mark) {
  const bool ours = (mark.head.flags & KNELL_RECORD_RELEASED) != 0;
  auto details = waiting_.take(mark.pid, mark.start_ns);
  // the kernel's mark was received first, and the exit was reported
  if (ours && !details) return false;
  const bool first = reported_exits_.note(mark.pid, mark.start_ns / kTickNs);
  if (first) report_exit(details ? details->record : std::string_view(), mark);
  if (details) waiting_.recycle(*std::move(details));
  return first;
}

void Bpf::report_exit(std::string_view details, const knell_mark& mark) {
  const bool was_dying = forget_dying(mark.pid);
  const auto decoded = details.empty() ? std::nullopt : decode(details);
  const bool described = decoded && decoded->process != nullptr;
  using enum EventBuilder::DetailsLost;
  const auto lost = !described && (was_dying || may_have_lost_details()) ? kYes : kNo;
  builder_.add_exit(decoded ? &*decoded : nullptr, mark,
                    roots_.translate(described ? decoded->process->roots : mark.roots), lost);
}

// Whether an exit without details had some that were lost.
bool Bpf::may_have_lost_details() const {
  constexpr size_t kMostBytes = sizeof(knell_process) + KNELL_TAIL_MASK;
  return dropped_details_ || rings_[kExitRing].may_have_refused(kMostBytes);
}

// Handles the details of a process that has begun to exit.
bool Bpf::await(const Decoded& decoded, std::string_view record, bool& again) {
  const int32_t pid = decoded.pid();
  // Two threads that exit together can both send the details, see last_of_process().
  if (const WaitingExits::Entry* known = waiting_.find(pid);
      known != nullptr && known->start_ns == decoded.start_ns())
    return false;
  while (!waiting_.has_room(pid, record.size())) {
    auto oldest = waiting_.make_room(pid);
    if (!oldest) break;
    // The exit of the evicted process is reported now in two cases: there will be no mark; or
    // another process has its pid, so it has ended, and no reported hole counts its exit. In any
    // other case its mark will report it.
    const bool report =
        oldest->no_mark || (oldest->pid == pid && oldest->stamp_ns > hole_until_ns_);
    if (report && reported_exits_.note(oldest->pid, oldest->start_ns / kTickNs)) {
      report_exit(oldest->record, mark_of(*decode(oldest->record)));
      again = true;
    } else {
      dropped_details_ = true;
    }
    waiting_.recycle(*std::move(oldest));
    if (again) return true;
  }
  WaitingExits::Entry& entry =
      waiting_.add(pid, decoded.start_ns(), decoded.head->stamp_ns, record);
  entry.no_mark = (decoded.head->flags & KNELL_RECORD_NO_MARK) != 0;
  if (!entry.no_mark) return false;
  // If it has already ended, report it here, which is its place in the stream.
  UniqueFd pidfd;
  if (life_of(entry.pid, entry.start_ns / kTickNs, pidfd) == Life::kEnded)
    return deliver_mark(mark_of_ended(entry));
  waiting_.set_overdue(entry);
  watch(entry, std::move(pidfd));
  return false;
}

// ------------------------------------------------------------------------------------- losses

bool Bpf::report_loss(Class of, uint64_t lost, uint64_t stamp_ns) {
  if (lost <= reported_lost_[of]) return false;
  event::Raw raw;
  raw.what = KNELL_EVENT_LOST;
  raw.stamp_ns = stamp_ns;
  raw.u.lost.count = lost - std::exchange(reported_lost_[of], lost);
  raw.u.lost.from_ns = last_ns_[of];
  raw.u.lost.counted = true;
  raw.u.lost.exact = true;
  if (of == kExits) {
    hole_until_ns_ = std::max(hole_until_ns_, stamp_ns);
    raw.u.lost.types = KNELL_EVENT_EXIT;
  } else {
    const volatile knell_losses& now = programs_.losses();
    if (now.forks != reported_losses_.forks) raw.u.lost.types |= KNELL_EVENT_FORK;
    if (now.execs != reported_losses_.execs) raw.u.lost.types |= KNELL_EVENT_EXEC;
    if (now.comms != reported_losses_.comms) raw.u.lost.types |= KNELL_EVENT_COMM;
    if (now.changes != reported_losses_.changes) raw.u.lost.types |= wanted_.mask & kConnectorTypes;
    // Losses after this record are reported later, with their types. So the counters are stored
    // only if everything that they count is reported now.
    if (now.forks + now.execs + now.comms + now.changes == lost) {
      reported_losses_ = {now.exits, now.forks, now.execs, now.comms, now.changes, now.births, 0};
    }
  }
  report_hole(raw);
  return true;
}

void Bpf::report_hole(const event::Raw& hole) {
  if (wanted_.namespaces && (hole.u.lost.types & KNELL_EVENT_FORK) != 0)
    out_.sink().on_births_lost(hole.u.lost.count);
  if (wanted_.level == KNELL_LEVEL_RAW) out_.sink().on_thread_event(hole, {});
  out_.add_hole(hole, KNELL_VIA_BPF, true);
}

// Reports exits that the programs have stored and that cannot be read.
void Bpf::report_unread(uint64_t lost, uint64_t stamp_ns) {
  event::Raw raw;
  raw.what = KNELL_EVENT_LOST;
  raw.stamp_ns = stamp_ns;
  raw.u.lost.count = lost;
  raw.u.lost.counted = raw.u.lost.exact = true;
  raw.u.lost.from_ns = last_ns_[kExits];
  raw.u.lost.types = KNELL_EVENT_EXIT;
  unread_ += lost;
  report_hole(raw);
}

void Bpf::report_missed(const Missed& missed) {
  if (missed.type != KNELL_EVENT_EXIT) {
    const int32_t pid = missed.pid;
    return builder_.add_missed(missed, roots_.translate(roots_.bits_of(pid).value_or(0)));
  }
  if (!reported_exits_.note(missed.pid, missed.start)) return;
  // Its details were received, and only its mark is missing.
  const WaitingExits::Entry* entry = waiting_.find(missed.pid);
  if (entry == nullptr || entry->start_ns / kTickNs != missed.start)
    return builder_.add_missed(missed, 0);
  auto details = waiting_.take(missed.pid, entry->start_ns);
  report_exit(details->record, mark_of(*decode(details->record)));
  waiting_.recycle(*std::move(details));
}

// Reports lost births earlier than their place in the stream: the sink must not use an old pid of a
// namespace for events after the hole.
void Bpf::report_lost_births() {
  const uint64_t births = programs_.losses().births;
  if (births == reported_births_) return;
  out_.sink().on_births_lost(births - std::exchange(reported_births_, births));
}

// Called when there is nothing more to read: reports what was lost since the last record.
bool Bpf::report_last_losses() {
  const volatile knell_losses& losses = programs_.losses();
  const uint64_t exits = losses.exits;
  const uint64_t others = losses.forks + losses.execs + losses.comms + losses.changes;
  if (exits == reported_lost_[kExits] && others == reported_lost_[kOthers]) return false;
  if (!rings_empty()) return false;  // the new records show the place of the loss more exactly
  const uint64_t now = clock_.monotonic_ns();
  return report_loss(kExits, exits, now) || report_loss(kOthers, others, now);
}

// ------------------------------------------------------------ processes whose mark is overdue

// Handles watched processes that have ended. If a mark is expected, the process is checked again
// after the rings have been read, because its mark may be there.
void Bpf::take_wakeups() {
  std::array<epoll_event, 64> ready;
  for (bool more = waiting_.watched() > 0; more;) {
    more = false;
    const int count = ::epoll_wait(epoll_.get(), ready.data(), ready.size(), 0);
    for (int i = 0; i < count; i++) {
      const uint64_t tag = ready[static_cast<size_t>(i)].data.u64;
      if (tag == kRingTag || tag == kTimerTag) continue;
      more = true;
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pidfd_of_tag(tag), nullptr);
      WaitingExits::Entry* entry = waiting_.find(pid_of_tag(tag));
      if (entry == nullptr || entry->pidfd.get() != pidfd_of_tag(tag)) continue;
      waiting_.set_pidfd(*entry, UniqueFd());
      if (entry->no_mark)
        release(*entry);
      else
        check_again_ns_ = 0;
    }
  }
}

// Called when there is nothing left to read. Returns whether marks were put into the stream.
bool Bpf::check_overdue() {
  if (waiting_.size() == 0) return false;
  const size_t held_before = held_.size();
  const uint64_t now = clock_.monotonic_ns();
  size_t checks = 0;
  for (; checks < kMostChecks; ++checks) {
    WaitingExits::Entry* entry = waiting_.next_overdue(now - kPatienceNs);
    if (entry == nullptr) break;
    check(*entry);
  }
  if (now >= check_again_ns_) {
    check_again_ns_ = now + kCheckAgainNs;
    for (size_t left = std::min(kMostChecks, waiting_.unwatched()); left > 0; --left) {
      WaitingExits::Entry* entry = waiting_.next_unwatched();
      if (entry == nullptr) break;
      check(*entry);
    }
  }
  return held_.size() != held_before;
}

void Bpf::check(WaitingExits::Entry& entry) {
  UniqueFd pidfd;
  if (life_of(entry.pid, entry.start_ns / kTickNs, pidfd) == Life::kEnded) {
    // Its mark was lost, so the reported loss counts it already.
    if (!entry.no_mark && entry.stamp_ns <= hole_until_ns_)
      waiting_.recycle(*waiting_.take(entry.pid, entry.start_ns));
    else
      release(entry);
    return;
  }
  watch(entry, std::move(pidfd));
}

// Watches a process by its pidfd. If that fails, the process is checked again later.
void Bpf::watch(WaitingExits::Entry& entry, UniqueFd pidfd) {
  if (!pidfd || waiting_.watched() >= kMostWatched) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = watch_tag(entry.pid, pidfd.get());
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, pidfd.get(), &event) == 0)
    waiting_.set_pidfd(entry, std::move(pidfd));
}

// Makes a mark for a process that has ended, and removes the process from the map of roots.
knell_mark Bpf::mark_of_ended(const WaitingExits::Entry& entry) {
  knell_mark mark = mark_of(*decode(entry.record));
  mark.head.flags = KNELL_RECORD_RELEASED;
  if (!wanted_.roots.empty()) roots_.remove_ended(entry.pid, entry.start_ns / kTickNs);
  return mark;
}

// Puts such a mark into the stream, for the next pass.
void Bpf::release(const WaitingExits::Entry& entry) {
  const knell_mark mark = mark_of_ended(entry);
  hold(mark.head.stamp_ns, {reinterpret_cast<const char*>(&mark), sizeof mark});
}

// Sets the timer for the next check of overdue processes.
void Bpf::set_timer() {
  uint64_t at = waiting_.next_stamp_ns();
  if (at != 0) at += kPatienceNs;
  if (waiting_.unwatched() > 0 && (at == 0 || check_again_ns_ < at)) at = check_again_ns_;
  if (at == timer_ns_ && (at == 0 || at > clock_.monotonic_ns())) return;
  itimerspec when{};
  when.it_value = timer_time(at);
  (void)::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  timer_ns_ = at;
}

}  // namespace knell::source
