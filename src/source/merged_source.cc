// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Makes one stream in the order of the kernel's stamps. A drain first reads the rest into
// buffered_, then drains the whole source. Before each event of the whole source it passes on the
// events in buffered_ that have earlier stamps. If an event of the whole source is younger than the
// last read of the rest, the rest is read once more first. So every event is at its place in the
// stream, with two exceptions: an event of the rest that the kernel has stamped but not yet queued,
// and the events of the rest that do not fit into buffered_ in one drain.
#include "source/merged_source.h"

#include <sys/epoll.h>

#include <algorithm>
#include <utility>

namespace knell::source {
namespace {

constexpr size_t kMostBuffered = 1024;  // picked: events of the rest are rare

}  // namespace

Result<std::unique_ptr<MergedSource>> MergedSource::create(std::unique_ptr<Source> whole,
                                                           Open open_rest,
                                                           const SourceRequest& wanted) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("make an epoll descriptor");
  std::unique_ptr<MergedSource> merged(
      new MergedSource(std::move(whole), std::move(open_rest), std::move(epoll)));
  KNELL_TRY(merged->poll(*merged->whole_));
  KNELL_TRY(merged->request_from_rest(wanted));
  return merged;
}

Result<void> MergedSource::poll(const Source& source) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, source.fd(), &event) != 0)
    return errno_error("poll a source");
  return {};
}

Result<void> MergedSource::set_request(const SourceRequest& wanted) {
  KNELL_TRY(whole_->set_request(wanted));
  return request_from_rest(wanted);
}

Result<void> MergedSource::request_from_rest(const SourceRequest& wanted) {
  const uint32_t own = whole_->capabilities().types | KNELL_EVENT_NONZERO_EXIT;
  SourceRequest others;
  others.mask = (wanted.mask == 0 ? uint32_t{KNELL_EVENT_ALL} : wanted.mask) & ~own;
  if ((missing_.mask | unreported_) == 0) missing_since_ns_ = clock_.monotonic_ns();
  const uint32_t were_missing = std::exchange(missing_, {}).mask;
  if (others.mask == 0) {
    rest_.reset();  // closes its descriptor, which removes it from the epoll set
    return {};
  }
  if (rest_ != nullptr) return rest_->set_request(others);
  auto opened = open_rest_(others);
  if (!opened) {
    if (wanted.mask != 0 && (wanted.mask & own) == 0)
      return std::unexpected(std::move(opened).error());
    missing_ = others;
    return {};
  }
  rest_ = *std::move(opened);
  unreported_ |= were_missing & others.mask;
  return poll(*rest_);
}

void MergedSource::try_rest_again() {
  if (missing_.mask == 0) return;
  auto opened = open_rest_(missing_);
  if (!opened || !poll(**opened)) return;
  rest_ = *std::move(opened);
  unreported_ |= std::exchange(missing_, {}).mask;
}

// Events that happened while the rest was missing are lost; their number is unknown.
void MergedSource::report_hole() {
  if (unreported_ == 0) return;
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = clock_.monotonic_ns();
  hole.u.lost.from_ns = missing_since_ns_;
  hole.u.lost.types = std::exchange(unreported_, 0);
  sink_->on_raw(hole);
}

Result<Drained> MergedSource::drain(Sink& sink, size_t bound) {
  sink_ = &sink;
  rest_drained_ = Drained::kEmpty;
  buffer_bound_ = std::min(bound / 2, kMostBuffered);
  KNELL_TRY(buffer_rest());
  // `bound` counts the events of the rest too.
  KNELL_ASSIGN(const Drained whole, whole_->drain(*this, bound - buffer_bound_));
  KNELL_TRY(std::exchange(broken_, {}));
  if (whole != Drained::kMore) pass_on_rest_until(UINT64_MAX);
  buffered_.erase(buffered_.begin(), buffered_.begin() + static_cast<ptrdiff_t>(passed_on_));
  passed_on_ = 0;
  return std::max(rest_drained_, whole);
}

Result<void> MergedSource::buffer_rest() {
  rest_read_ns_ = clock_.monotonic_ns();
  if (rest_ == nullptr || buffered_.size() >= buffer_bound_) return {};
  buffering_rest_ = true;
  const auto drained = rest_->drain(*this, buffer_bound_ - buffered_.size());
  buffering_rest_ = false;
  if (!drained) return std::unexpected(drained.error());
  rest_drained_ = std::max(rest_drained_, *drained);
  return {};
}

void MergedSource::buffer_rest_before(uint64_t stamp_ns) {
  if (rest_ == nullptr || stamp_ns <= rest_read_ns_) return;
  if (auto read = buffer_rest(); !read) broken_ = std::move(read);
}

void MergedSource::pass_on_rest_until(uint64_t stamp_ns) {
  for (; passed_on_ < buffered_.size() && buffered_[passed_on_].stamp_ns <= stamp_ns; ++passed_on_)
    sink_->on_raw(buffered_[passed_on_]);
}

void MergedSource::on_raw(const event::Raw& raw) {
  if (buffering_rest_) {
    buffered_.push_back(raw);
    return;
  }
  buffer_rest_before(raw.stamp_ns);
  pass_on_rest_until(raw.stamp_ns);
  sink_->on_raw(raw);
}

void MergedSource::on_full(const event::Full& full) {
  buffer_rest_before(full.stamp_ns);
  pass_on_rest_until(full.stamp_ns);
  sink_->on_full(full);
}

Result<void> MergedSource::check_health(Sink& sink) {
  sink_ = &sink;
  KNELL_TRY(whole_->check_health(*this));
  try_rest_again();
  report_hole();
  if (rest_ == nullptr) return {};
  return rest_->check_health(*this);
}

Capabilities MergedSource::capabilities() const {
  Capabilities all = whole_->capabilities();
  if (rest_ == nullptr) return all;
  const Capabilities rest = rest_->capabilities();
  all.types |= rest.types;
  all.buffer_bytes += rest.buffer_bytes;
  return all;
}

Counters MergedSource::counters() const {
  Counters all = whole_->counters();
  if (rest_ == nullptr) return all;
  const Counters rest = rest_->counters();
  return {all.received + rest.received, all.lost + rest.lost, all.repaired + rest.repaired};
}

}  // namespace knell::source
