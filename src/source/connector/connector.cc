// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/connector.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "event/mask.h"
#include "filter/classic_bpf.h"
#include "filter/rule.h"

// The order of the calls when the socket is opened is important. A socket that has joined the group
// receives all events until the kernel knows its mask, as long as any process on the machine
// listens. So the BPF program is attached before bind(). A kernel before 6.6 silently ignores a
// request with a mask, and the kernel silently ignores every request from another pid or user
// namespace. So the probe, on a separate socket, checks the result. The program stays attached in
// addition to the kernel's own filter. It is not run for events that the kernel's filter drops, and
// it drops the acks of other listeners' requests. Without it, acks that do not fit in the queue
// would be counted as lost events.
//
// The place of a hole. When the queue is full the kernel drops all events until the queue has been
// read empty. It reports this once, by ENOBUFS, at the next read and before the events that are
// still queued. So at the time of the ENOBUFS all queued events are older than the hole, and events
// with later stamps follow it. The hole is reported before the first such event, or when the queue
// is empty. Its count is the difference of the socket's drop counter. Drops without an ENOBUFS are
// reported when the queue is empty.
//
// The count is exact as long as the kernel drops events outside the mask before it queues them:
// then it is the number of missing thread-level events of `types`. It is an upper bound if the mask
// was changed since losses were last reported, or if nothing is filtered before the queue.
//
// check_health() detects that the kernel has stopped sending events (listener_count.cc). Earlier
// events may still be in the queue then. So this hole, which has no count, is placed by the same
// rule: before the first event that is stamped after the repair.
namespace knell::source {
namespace {

uint32_t normalised(const ThreadRequest& wanted) { return filter::normalise(wanted.mask); }
filter::Forks forks_of(const ThreadRequest& wanted) {
  return wanted.forks_of_threads_only ? filter::Forks::kOfThreads : filter::Forks::kAll;
}

// Called before bind(), so that no unfiltered event is ever queued.
Result<void> attach(int fd, int program, uint32_t mask, filter::Forks forks) {
  if (program >= 0) return attach_program(fd, program);
  return attach_filter(fd, filter::connector_filter(mask, false, forks));
}

}  // namespace

Connector::Connector(UniqueFd fd, Buffer buffer, const ConnectorOptions& options)
    : fd_(std::move(fd)),
      buffer_(buffer),
      clock_(*options.clock),
      owner_(::getpid()),
      mask_(normalised(options.wanted)),
      forks_(forks_of(options.wanted)),
      program_(options.program),
      kept_(options.kept),
      receiver_(kept_ == nullptr ? nullptr : &kept_->handover.state->intake()),
      last_ns_(clock_.monotonic_ns()),
      healthy_ns_(last_ns_),
      loss_(fd_.get()),
      losable_(mask_) {}

Connector::~Connector() {
  if (kept_ != nullptr && kept_->leaving) return;
  if (kept_ != nullptr) kept_->handover.keeper.remove(kept_->socket);
  // Exactly one IGNORE, since the kernel counts this as one listener. The number that
  // restore_listener_count() added to the kernel's count stays.
  if (subscribed_ && ::getpid() == owner_) {
    send_request(fd_.get(), KNELL_MCAST_IGNORE, std::nullopt);
  }
}

// The state that the earlier process stored.
struct Connector::Saved {
  uint64_t cycle, consumed;
  uint64_t overflow_ns, last_ns;
  uint32_t mask, forks, filtering, drops, losable, mask_held;
};

void Connector::save() {
  if (kept_ == nullptr) return;
  const Saved saved{.cycle = receiver_.cycle(),
                    .consumed = receiver_.consumed() - (ahead_ ? 1 : 0),
                    .overflow_ns = overflow_ns_,
                    .last_ns = last_ns_,
                    .mask = mask_,
                    .forks = static_cast<uint32_t>(forks_),
                    .filtering = static_cast<uint32_t>(filtering_),
                    .drops = loss_.taken(),
                    .losable = losable_,
                    .mask_held = static_cast<uint32_t>(mask_held_)};
  kept_->handover.state->append(kept_->kind, {reinterpret_cast<const char*>(&saved), sizeof saved});
}

Result<std::unique_ptr<Connector>> Connector::go_on(UniqueFd fd, uint32_t mask, Filtering filtering,
                                                    const ConnectorOptions& options) {
  const auto option = [&](int name) {
    int value = -1;
    socklen_t bytes = sizeof value;
    return ::getsockopt(fd.get(), SOL_SOCKET, name, &value, &bytes) == 0 ? value : -1;
  };
  if (option(SO_DOMAIN) != AF_NETLINK || option(SO_PROTOCOL) != NETLINK_CONNECTOR)
    return say(ESTALE, "the stored socket is not one of the connector");
  const Buffer buffer{.bytes = static_cast<uint64_t>(std::max(option(SO_RCVBUF), 0))};
  std::unique_ptr<Connector> connector(new Connector(std::move(fd), buffer, options));
  connector->subscribed_ = true;
  connector->home_ = read_environment().namespaces;
  connector->mask_ = mask;
  connector->filtering_ = filtering;
  return connector;
}

Result<std::unique_ptr<Connector>> Connector::take_over(UniqueFd fd, uint32_t mask,
                                                        Filtering filtering,
                                                        const ConnectorOptions& options) {
  KNELL_ASSIGN(auto connector, go_on(std::move(fd), mask, filtering, options));
  // One step replaces the filter program of the earlier process.
  KNELL_TRY(connector->ask_kernel());
  KNELL_TRY(connector->set_request(options.wanted));
  return connector;
}

// The socket is still subscribed, and has queued the events since then.
Result<std::unique_ptr<Connector>> Connector::adopt(const ConnectorOptions& options) {
  Kept& kept = *options.kept;
  UniqueFd fd = kept.handover.keeper.take(kept.socket);
  if (!fd) return say(ENOENT, "the socket of the connector is not stored");
  Saved saved{};
  if (kept.records.empty() || kept.records.back().size() != sizeof saved)
    return say(ESTALE, "the stored socket has no state");
  std::memcpy(&saved, kept.records.back().data(), sizeof saved);
  if (saved.filtering > static_cast<uint32_t>(Filtering::kNone) ||
      saved.forks > static_cast<uint32_t>(filter::Forks::kOfThreads))
    return say(ESTALE, "the state of the stored socket is malformed");
  KNELL_ASSIGN(auto connector,
               go_on(std::move(fd), saved.mask, static_cast<Filtering>(saved.filtering), options));
  Connector& now = *connector;
  now.forks_ = static_cast<filter::Forks>(saved.forks);
  now.losable_ = saved.losable;
  now.mask_held_ = saved.mask_held != 0;
  now.overflow_ns_ = saved.overflow_ns;
  now.last_ns_ = saved.last_ns;
  now.loss_.restore(saved.drops);
  now.receiver_.restore(saved.cycle, saved.consumed);
  KNELL_TRY(now.set_request(options.wanted));
  return connector;
}

Result<std::unique_ptr<Connector>> Connector::create(const ConnectorOptions& options) {
  if (options.kept == nullptr) return open(options);
  Kept& kept = *options.kept;
  auto adopted = adopt(options);
  if (adopted) {
    kept.outcome = Kept::Outcome::kAdopted;
    return adopted;
  }
  kept.outcome = Kept::Outcome::kReplaced;
  kept.why = adopted.error().message();
  kept.handover.keeper.drop(kept.socket);
  auto opened = open(options);
  // Not polled: an overflow is EPOLLERR.
  if (opened) kept.handover.keeper.store(kept.socket, (*opened)->fd(), handover::Keeper::Poll::kNo);
  return opened;
}

Result<std::unique_ptr<Connector>> Connector::open(const ConnectorOptions& options) {
  const Environment here = read_environment();
  auto fd = open_connector();
  if (!fd) return obstacle_error(explain(Step::kOpen, fd.error(), here));
  const size_t bytes = options.buffer_bytes != 0 ? options.buffer_bytes : kDefaultBufferBytes;
  const Buffer buffer = size_buffer(fd->get(), bytes);
  const uint32_t mask = normalised(options.wanted);
  if (options.best != Filtering::kNone)
    KNELL_TRY(attach(fd->get(), options.program, mask, forks_of(options.wanted)));
  if (const auto joined = join_events(fd->get()); !joined) {
    return obstacle_error(explain(Step::kJoin, joined.error(), here));
  }
  const auto probe = ConnectorProbe::open();
  if (!probe) return obstacle_error(explain(Step::kOpen, probe.error(), here));
  std::unique_ptr<Connector> connector(new Connector(*std::move(fd), buffer, options));
  KNELL_TRY(connector->connect(here, *probe, options.best));
  return connector;
}

Result<void> Connector::connect(const Environment& here, const ConnectorProbe& probe,
                                Filtering best) {
  auto answer = subscribe(fd_.get(), mask_, probe);
  if (!answer) return obstacle_error(explain(Step::kRequest, answer.error(), here));
  subscribed_ = true;
  home_ = here.namespaces;
  if (answer->silent()) {
    const Obstacle obstacle = explain(Step::kAck, {}, here);
    if (!obstacle.count_below_one) return obstacle_error(obstacle);
    answer = restore_listener_count(fd_.get(), mask_, RequestFormat::kUnknown, probe);
    if (!answer || answer->silent()) return obstacle_error(obstacle);
    ++repaired_;
  }
  filtering_ = std::max(best, answer->kernel_filter ? Filtering::kKernel : Filtering::kClassic);
  healthy_ns_ = clock_.monotonic_ns();
  if (filtering_ == Filtering::kKernel || !answer->kernel_filter) return {};
  // In tests the kernel's filter may be unused although it exists: request all events, without a
  // mask.
  if (const int error = send_request(fd_.get(), KNELL_MCAST_LISTEN, std::nullopt); error != 0) {
    return make_error(error, "send a request to the process connector");
  }
  return {};
}

// ------------------------------------------------------------------------------- subscription

Result<void> Connector::set_request(const ThreadRequest& wanted) {
  const uint32_t mask = normalised(wanted);
  if (mask == mask_ && forks_of(wanted) == forks_) return {};
  mask_ = mask;
  forks_ = forks_of(wanted);
  losable_ |= mask;
  mask_held_ = false;
  return ask_kernel();
}

// The old or the new mask is in force at any time, so events in both masks are never dropped.
Result<void> Connector::ask_kernel() {
  if (filtering_ == Filtering::kNone) return {};
  KNELL_TRY(attach(fd_.get(), program_, mask_, forks_));
  if (filtering_ == Filtering::kClassic) return {};
  if (const int error = send_request(fd_.get(), KNELL_MCAST_LISTEN, mask_); error != 0) {
    return make_error(error, "send a request to the process connector");
  }
  return {};
}

Result<void> Connector::filter_nothing() {
  const uint32_t all = KNELL_EVENT_ALL;
  if (filtering_ == Filtering::kKernel) {
    if (const int error = send_request(fd_.get(), KNELL_MCAST_LISTEN, all); error != 0) {
      return make_error(error, "send a request to the process connector");
    }
  }
  filtering_ = Filtering::kNone;
  mask_held_ = false;
  return attach_filter(fd_.get(), {});
}

// ------------------------------------------------------------------------------------ reading

Result<Drained> Connector::drain(ThreadEvents& sink, size_t bound) {
  bool any = false;
  receiver_.take_emptied();  // reset the flag of an earlier drain
  // `bound` also counts events that are dropped here: otherwise a flood of them could keep this
  // loop running.
  for (size_t spent = 0; spent < bound;) {
    if (!look_ahead(spent)) {
      if (receiver_.full()) return Drained::kMore;
      any = any || spent > 0;
      KNELL_ASSIGN(const bool more, refill());
      if (more) continue;
      if (!report_hole(sink)) return any ? Drained::kSome : Drained::kEmpty;
      any = true;
      ++spent;
      continue;
    }
    any = true;
    ++spent;
    if (hole_before(ahead_->stamp_ns) && report_hole(sink)) continue;
    sink.on_raw(*ahead_);
    last_ns_ = ahead_->stamp_ns;
    ahead_.reset();
  }
  return Drained::kMore;
}

// Moves the next wanted event of the batch into ahead_. False: there is none in the batch.
bool Connector::look_ahead(size_t& skipped) {
  while (!ahead_) {
    ahead_ = receiver_.next();
    if (!ahead_) return false;
    if (ahead_->what == KNELL_EVENT_NONE) {  // the ack of some listener's request
      ahead_.reset();
      ++skipped;
      continue;
    }
    ++received_;
    if (filter::passes(filter::Rule::kReleased, mask_, *ahead_)) return true;
    if (!hole_before(ahead_->stamp_ns)) last_ns_ = ahead_->stamp_ns;
    ahead_.reset();
    ++skipped;
  }
  return true;
}

// False: the queue is empty.
Result<bool> Connector::refill() {
  // After a batch that was not full the queue is empty, or an ENOBUFS is next. In the second case
  // the drop counter has changed.
  if (receiver_.take_emptied() && loss_.pending() == 0) return false;
  switch (receiver_.fill(fd_.get())) {
    case Receiver::Fill::kSome:
      return true;
    case Receiver::Fill::kOverflow:
      overflow_ns_ = clock_.monotonic_ns();
      return true;
    case Receiver::Fill::kEmpty:
      // Drops without an ENOBUFS, or drops counted after their hole was reported.
      if (overflow_ns_ == 0 && loss_.pending() != 0) overflow_ns_ = clock_.monotonic_ns();
      return false;
    case Receiver::Fill::kBroken:
      break;
  }
  return errno_error("read process events");
}

// -------------------------------------------------------------------------------------- holes

bool Connector::hole_before(uint64_t stamp_ns) const {
  return (overflow_ns_ != 0 && stamp_ns > overflow_ns_) ||
         (silence_ && stamp_ns > silence_->until_ns);
}

// Reports a hole that belongs at this place of the stream. False: there is none.
bool Connector::report_hole(ThreadEvents& sink) {
  if (overflow_ns_ != 0 && report_overflow(sink)) return true;
  if (!silence_) return false;
  report_silence(sink, *silence_);
  silence_.reset();
  return true;
}

bool Connector::report_overflow(ThreadEvents& sink) {
  overflow_ns_ = 0;
  event::Raw raw;
  raw.what = KNELL_EVENT_LOST;
  raw.stamp_ns = clock_.monotonic_ns();
  raw.u.lost.count = loss_.take();
  raw.u.lost.from_ns = last_ns_;
  raw.u.lost.types = losable_;
  raw.u.lost.counted = true;
  raw.u.lost.exact = mask_held_ && filtering_ != Filtering::kNone;
  lost_by_types_[event::types_of(losable_)] += raw.u.lost.count;
  losable_ = mask_;
  mask_held_ = true;
  // The kernel sets ENOBUFS shortly before it counts the drop; then the count is reported later.
  if (raw.u.lost.count == 0) return false;
  sink.on_raw(raw);
  return true;
}

void Connector::report_silence(ThreadEvents& sink, const Hole& hole) const {
  event::Raw raw;
  raw.what = KNELL_EVENT_LOST;
  raw.stamp_ns = hole.until_ns;
  raw.u.lost.from_ns = hole.from_ns;
  raw.u.lost.types = mask_;
  sink.on_raw(raw);
}

// ------------------------------------------------------------------------------------- health

Result<void> Connector::check_health() {
  const auto probe = ConnectorProbe::open();
  if (!probe) return {};  // for example, no descriptor is left: then nothing can be checked
  auto answer = probe->ask();
  const uint64_t now = clock_.monotonic_ns();
  const bool silent = answer && answer->silent();
  if (answer && answer->acked) healthy_ns_ = now;
  // A process that moved to other namespaces keeps its subscription, but the kernel does not answer
  // the probe there.
  if (!silent || read_environment().namespaces != home_) return {};

  const RequestFormat format =
      filtering_ == Filtering::kKernel ? RequestFormat::kMask : RequestFormat::kUnknown;
  const uint32_t asked = filtering_ == Filtering::kKernel ? mask_ : KNELL_EVENT_ALL;
  answer = restore_listener_count(fd_.get(), asked, format, *probe);
  if (!answer || answer->silent())
    return obstacle_error(explain(Step::kAck, {}, read_environment()));
  ++repaired_;
  if (silence_detector_.note(now)) KNELL_TRY(filter_nothing());
  const uint64_t from = silence_ ? silence_->from_ns : std::max(healthy_ns_, last_ns_);
  healthy_ns_ = clock_.monotonic_ns();
  silence_ = Hole{healthy_ns_, from};
  return {};
}

Capabilities Connector::capabilities() const {
  return {KNELL_EVENT_ALL & ~KNELL_EVENT_NONZERO_EXIT, filtering_ == Filtering::kKernel,
          buffer_.bytes};
}

Counters Connector::counters() const {
  return {.received = received_,
          .lost = loss_.total(),
          .lost_by_types = lost_by_types_,
          .repaired = repaired_};
}

}  // namespace knell::source
