// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/listener_stream.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cstring>

#include "base/clock.h"

namespace knell::fleet {
namespace {

// How long the listener before is read: events that the new one does not have wait in its queue
// for a latency budget at most. Picked, well above any budget.
constexpr timespec kRetirement{1, 0};

std::string random_journal_id() {
  std::array<uint64_t, 2> bits{};
  // Fails only before the kernel's generator is ready, which the flags do not wait for.
  if (::getrandom(bits.data(), sizeof bits, GRND_NONBLOCK) < 0)
    bits = {system_clock().boottime_ns(), static_cast<uint64_t>(system_clock().realtime_ns())};
  return fmt::format("{:016x}{:016x}", bits[0], bits[1]);
}

}  // namespace

ListenerStream::ListenerStream(const Options& options, UniqueFd epoll, UniqueFd timer)
    : options_(options),
      journal_id_(random_journal_id()),
      epoll_(std::move(epoll)),
      timer_(std::move(timer)),
      events_(),
      pointers_() {}

Result<std::unique_ptr<ListenerStream>> ListenerStream::create(const Options& options) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("make an epoll descriptor");
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return errno_error("make a timer");
  epoll_event ready{};
  ready.events = EPOLLIN;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, timer.get(), &ready) < 0)
    return errno_error("wait for a timer");
  return std::unique_ptr<ListenerStream>(
      new ListenerStream(options, std::move(epoll), std::move(timer)));
}

void ListenerStream::close(Listener& listener) {
  if (listener) (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener.fd(), nullptr);
  listener = {};
}

Result<void> ListenerStream::open(const Wanted& wanted) {
  Options options = options_;
  options.events = wanted.events;
  std::error_code error;
  Listener opened = Listener::open(options, error);
  if (error) return say(error.value(), explain());
  for (const auto& [key, values] : wanted.predicates)
    for (const std::string& value : values)
      if (opened.match(key, value)) return say(EINVAL, explain());
  epoll_event ready{};
  ready.events = EPOLLIN;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, opened.fd(), &ready) < 0)
    return errno_error("wait for events");
  close(retiring_);
  retiring_ = std::move(listener_);
  listener_ = std::move(opened);
  const itimerspec once{{0, 0}, kRetirement};
  if (retiring_) (void)::timerfd_settime(timer_.get(), 0, &once, nullptr);
  return {};
}

Result<void> ListenerStream::set_wanted(const Wanted& wanted) {
  if (wanted.events == 0) {
    close(retiring_);
    close(listener_);
    failed_ = false;
  } else if (listener_ && wanted.predicates == wanted_.predicates) {
    if (wanted.events != wanted_.events)
      if (const auto error = listener_.set_events(wanted.events))
        return say(error.value(), explain());
  } else {
    KNELL_TRY(open(wanted));
  }
  wanted_ = wanted;
  return {};
}

bool ListenerStream::add_lost() {
  if (!failed_ || !listener_) return false;
  failed_ = false;
  knell_event& lost = events_[0];
  lost = {};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.seq = ++seq_;
  lost.lost_types = wanted_.events;
  lost.lost_from_ns = failed_ns_;
  lost.lost_until_ns = lost.mono_ns = system_clock().monotonic_ns();
  lost.time_ns = lost.lost_until_time_ns = system_clock().realtime_ns();
  lost.lost_from_time_ns =
      lost.time_ns - static_cast<int64_t>(lost.lost_until_ns - lost.lost_from_ns);
  pointers_[0] = &lost;
  return true;
}

Result<size_t> ListenerStream::take(Listener& listener, size_t count) {
  std::error_code error;
  const auto got = listener.read(std::span(pointers_).first(std::min(count, kMostRead)), error);
  if (error) return say(error.value(), explain());
  for (size_t i = 0; i < got.size(); ++i) {
    events_[i] = {};
    std::memcpy(&events_[i], got[i], std::min(got[i]->size, sizeof events_[i]));
    events_[i].size = std::min(got[i]->size, sizeof events_[i]);
    events_[i].seq = ++seq_;
    pointers_[i] = &events_[i];
  }
  return got.size();
}

void ListenerStream::end_retirement() {
  uint64_t count = 0;
  if (::read(timer_.get(), &count, sizeof count) == sizeof count) close(retiring_);
}

Result<std::span<const knell_event* const>> ListenerStream::read(size_t count) {
  if (add_lost()) return std::span(pointers_).first(1);
  if (retiring_) {
    const auto got = take(retiring_, count);
    if (got && *got > 0) return std::span(pointers_).first(*got);
    if (!got) close(retiring_);
    end_retirement();
  }
  if (!listener_) return std::span<const knell_event* const>();
  const auto got = take(listener_, count);
  if (got) return std::span(pointers_).first(*got);
  failed_ = true;
  failed_ns_ = system_clock().monotonic_ns();
  close(listener_);
  return std::unexpected(got.error());
}

}  // namespace knell::fleet
