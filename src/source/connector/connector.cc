// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/connector.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "filter/classic_bpf.h"
#include "filter/rule.h"

// The order of opening is what it is for a reason. A socket that has joined the group gets
// everything, as long as anybody on the machine listens, until the kernel knows its mask: so the
// BPF program is attached before bind(). An old kernel ignores a request with a mask without a
// word, a kernel in another namespace ignores every request: so the probe asks, on a socket of its
// own, what came of it. The program stays attached beside the kernel's own filter. It costs
// nothing for what that one drops, and it drops the acks of others, which would be counted as lost
// events when they do not fit.
//
// Where a hole is. When the queue is full the kernel drops everything until it has been read empty.
// It tells of it once, by ENOBUFS, at the next read and before the events still queued. So at the
// time of the ENOBUFS everything queued is older than the hole, and what is stamped later came
// behind it: the hole is told before the first such event, or where the queue runs empty. Its count
// is the difference of the socket's drop counter; whatever that shows without an ENOBUFS is told
// when the queue is empty.
//
// The count is exact as long as the kernel drops what is not in the mask before it would queue it:
// then it is the number of thread-level events of `types` that are missing. It is an upper bound
// when the mask was changed since the last look, or when nothing is filtered by the kernel.
//
// Deafness (heal.cc) is found by check_health(). What came before it is still in the queue then, so
// its hole, which has no count, is put by the same rule: before the first event stamped after it
// was mended.
namespace knell::source {
namespace {

uint32_t normalised(const Wanted& wanted) { return filter::normalise(wanted.mask); }
filter::Forks forks_of(const Wanted& wanted) {
  return wanted.forks_of_threads_only ? filter::Forks::kOfThreads : filter::Forks::kAll;
}

// Before bind: nothing unfiltered ever queues.
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
      last_ns_(clock_.monotonic_ns()),
      healthy_ns_(last_ns_),
      loss_(fd_.get()),
      losable_(mask_) {}

Connector::~Connector() {
  // Exactly one for what the kernel counts as one listener; what healing added stays.
  if (subscribed_ && ::getpid() == owner_) {
    send_request(fd_.get(), KNELL_MCAST_IGNORE, std::nullopt);
  }
}

Result<std::unique_ptr<Connector>> Connector::create(const ConnectorOptions& options) {
  const Surroundings here = look_around();
  auto fd = open_connector();
  if (!fd) return refuse(explain(Step::kOpen, fd.error(), here));
  const size_t bytes = options.buffer_bytes != 0 ? options.buffer_bytes : kDefaultBufferBytes;
  const Buffer buffer = size_buffer(fd->get(), bytes);
  const uint32_t mask = normalised(options.wanted);
  if (options.best != Filtering::kNone)
    KNELL_TRY(attach(fd->get(), options.program, mask, forks_of(options.wanted)));
  if (const auto joined = join_events(fd->get()); !joined) {
    return refuse(explain(Step::kJoin, joined.error(), here));
  }
  const auto probe = Probe::open();
  if (!probe) return refuse(explain(Step::kOpen, probe.error(), here));
  std::unique_ptr<Connector> connector(new Connector(*std::move(fd), buffer, options));
  KNELL_TRY(connector->connect(here, *probe, options.best));
  return connector;
}

Result<void> Connector::connect(const Surroundings& here, const Probe& probe, Filtering best) {
  auto answer = subscribe(fd_.get(), mask_, probe);
  if (!answer) return refuse(explain(Step::kRequest, answer.error(), here));
  subscribed_ = true;
  home_ = here.namespaces;
  if (!answer->acked) {
    const Obstacle obstacle = explain(Step::kAck, {}, here);
    if (!obstacle.deaf) return refuse(obstacle);
    answer = heal(fd_.get(), mask_, Speech::kUnknown, probe);
    if (!answer || !answer->acked) return refuse(obstacle);
    ++healed_;
  }
  filtering_ = std::max(best, answer->kernel_filter ? Filtering::kKernel : Filtering::kClassic);
  healthy_ns_ = clock_.monotonic_ns();
  if (filtering_ == Filtering::kKernel || !answer->kernel_filter) return {};
  // A test that wants less than this kernel can do.
  if (const int error = send_request(fd_.get(), KNELL_MCAST_LISTEN, std::nullopt); error != 0) {
    return make_error(error, "send a request to the process connector");
  }
  return {};
}

// ------------------------------------------------------------------------------------- what is
// wanted

Result<void> Connector::want(const Wanted& wanted) {
  const uint32_t mask = normalised(wanted);
  if (mask == mask_ && forks_of(wanted) == forks_) return {};
  mask_ = mask;
  forks_ = forks_of(wanted);
  losable_ |= mask;
  mask_held_ = false;
  return ask_kernel();
}

// At each moment one of the two masks is in force, so what is in both is never dropped.
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

// ------------------------------------------------------------------------------------------
// reading

Result<Drained> Connector::drain(Sink& sink, size_t bound) {
  bool any = false;
  receiver_.take_dry();  // that was some time ago
  // What is dropped here counts too: under a storm of it the caller must get his turn.
  for (size_t spent = 0; spent < bound;) {
    if (!look_ahead(spent)) {
      any = any || spent > 0;
      KNELL_ASSIGN(const bool more, refill());
      if (more) continue;
      if (!tell_hole(sink)) return any ? Drained::kSome : Drained::kEmpty;
      any = true;
      ++spent;
      continue;
    }
    any = true;
    ++spent;
    if (hole_before(ahead_->stamp_ns) && tell_hole(sink)) continue;
    sink.on_raw(*ahead_);
    last_ns_ = ahead_->stamp_ns;
    ahead_.reset();
  }
  return Drained::kMore;
}

// Makes sure that ahead_ holds the next event of the batch that is wanted.
bool Connector::look_ahead(size_t& skipped) {
  while (!ahead_) {
    ahead_ = receiver_.next();
    if (!ahead_) return false;
    if (ahead_->what == KNELL_EVENT_NONE) {  // the ack of somebody's request
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
  // A batch that was not full left nothing, or an ENOBUFS not told yet: then there were drops.
  if (receiver_.take_dry() && loss_.untaken() == 0) return false;
  switch (receiver_.fill(fd_.get())) {
    case Receiver::Fill::kSome:
      return true;
    case Receiver::Fill::kOverflow:
      overflow_ns_ = clock_.monotonic_ns();
      return true;
    case Receiver::Fill::kEmpty:
      // Drops without an ENOBUFS, or a second look at a queue whose hole was told.
      if (overflow_ns_ == 0 && loss_.untaken() != 0) overflow_ns_ = clock_.monotonic_ns();
      return false;
    case Receiver::Fill::kBroken:
      break;
  }
  return errno_error("read process events");
}

// --------------------------------------------------------------------------------------------
// holes

bool Connector::hole_before(uint64_t stamp_ns) const {
  return (overflow_ns_ != 0 && stamp_ns > overflow_ns_) ||
         (deafness_ && stamp_ns > deafness_->until_ns);
}

// Tells one hole that lies here; false when there is none.
bool Connector::tell_hole(Sink& sink) {
  if (overflow_ns_ != 0 && tell_overflow(sink)) return true;
  if (!deafness_) return false;
  tell_deafness(sink, *deafness_);
  deafness_.reset();
  return true;
}

bool Connector::tell_overflow(Sink& sink) {
  overflow_ns_ = 0;
  event::Raw raw;
  raw.what = KNELL_EVENT_LOST;
  raw.stamp_ns = clock_.monotonic_ns();
  raw.u.lost.count = loss_.take();
  raw.u.lost.from_ns = last_ns_;
  raw.u.lost.types = losable_;
  raw.u.lost.counted = true;
  raw.u.lost.exact = mask_held_ && filtering_ != Filtering::kNone;
  losable_ = mask_;
  mask_held_ = true;
  // The kernel says ENOBUFS a moment before it counts; then the count is told next time.
  if (raw.u.lost.count == 0) return false;
  sink.on_raw(raw);
  return true;
}

void Connector::tell_deafness(Sink& sink, const Hole& hole) {
  event::Raw raw;
  raw.what = KNELL_EVENT_LOST;
  raw.stamp_ns = hole.until_ns;
  raw.u.lost.from_ns = hole.from_ns;
  raw.u.lost.types = mask_;
  sink.on_raw(raw);
}

// -------------------------------------------------------------------------------------------
// health

Result<void> Connector::check_health(Sink& sink) {
  const auto probe = Probe::open();
  if (!probe) return {};  // no descriptor left, say: that cannot be told from here
  auto answer = probe->ask();
  const uint64_t now = clock_.monotonic_ns();
  const bool deaf = answer && !answer->acked;
  if (answer && answer->acked) healthy_ns_ = now;
  // A process that moved to other namespaces keeps its subscription, but nobody answers it there.
  if (!deaf || look_around().namespaces != home_) return {};

  const Speech speech = filtering_ == Filtering::kKernel ? Speech::kMask : Speech::kUnknown;
  const uint32_t asked = filtering_ == Filtering::kKernel ? mask_ : KNELL_EVENT_ALL;
  answer = heal(fd_.get(), asked, speech, *probe);
  if (!answer || !answer->acked) return refuse(explain(Step::kAck, {}, look_around()));
  ++healed_;
  if (deaf_history_.note(now)) KNELL_TRY(filter_nothing());
  const uint64_t from = deafness_ ? deafness_->from_ns : std::max(healthy_ns_, last_ns_);
  healthy_ns_ = clock_.monotonic_ns();
  deafness_ = Hole{healthy_ns_, from};
  // With something queued the descriptor is readable, and drain() finds the place.
  if (!ahead_ && receiver_.empty() && loss_.queue_empty()) tell_hole(sink);
  return {};
}

Capabilities Connector::capabilities() const {
  return {KNELL_EVENT_ALL & ~KNELL_EVENT_NONZERO_EXIT, false, filtering_ == Filtering::kKernel,
          buffer_.bytes};
}

Counters Connector::counters() const { return {received_, loss_.total(), healed_}; }

}  // namespace knell::source
