// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/durable_stream.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "fleet/random_name.h"

namespace knell::fleet {
namespace {

// A lost event may have the same cursor as the event before it.
std::string key_of(const knell_event& event) {
  std::string key(event.cursor.data, event.cursor.size);
  key += event.type == KNELL_EVENT_LOST ? " lost" : " ";
  return key;
}

}  // namespace

DurableStream::DurableStream(const Options& options, std::string name, UniqueFd epoll)
    : options_(options),
      name_(std::move(name)),
      id_(random_name()),
      epoll_(std::move(epoll)),
      events_(),
      pointers_() {}

Result<std::unique_ptr<DurableStream>> DurableStream::create(const Options& options,
                                                             std::string name) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("make an epoll descriptor");
  return std::unique_ptr<DurableStream>(
      new DurableStream(options, std::move(name), std::move(epoll)));
}

void DurableStream::close() {
  if (listener_) (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.fd(), nullptr);
  listener_ = {};
}

// Used when no events are wanted. set_wanted() then also removes the durable listener, so that
// knelld stores no events for it. If knelld does not run, that fails, and the next call of
// set_wanted() tries again.
void DurableStream::forget() {
  close();
  unacked_.clear();
  again_.clear();
}

Result<void> DurableStream::open(const Wanted& wanted) {
  close();
  Options options = options_;
  options.events = wanted.events;
  options.durable = name_.c_str();
  options.max_unacked = kMostUnacked;
  std::error_code error;
  Listener opened = Listener::open(options, error);
  if (error) return say(error.value(), explain());
  for (const auto& [key, values] : wanted.predicates)
    for (const std::string& value : values)
      if (opened.match(key, value)) return say(EINVAL, explain());
  // Subscribes now, because knelld checks the name when a listener subscribes.
  if (const auto refused = opened.flush_acks()) return say(refused.value(), explain());
  epoll_event ready{};
  ready.events = EPOLLIN;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, opened.fd(), &ready) < 0)
    return errno_error("wait for events");
  listener_ = std::move(opened);
  return {};
}

Result<void> DurableStream::set_wanted(const Wanted& wanted) {
  if (wanted.events == 0) {
    forget();
    const auto removed = remove_durable(name_);
    if (removed && removed != std::errc::no_such_file_or_directory)
      return say(removed.value(), explain());
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

bool DurableStream::note_read(const knell_event& event) {
  std::string key = key_of(event);
  if ((event.flags & KNELL_FLAG_REDELIVERED) == 0) {
    again_.clear();
  } else {
    if (again_.empty()) again_.insert(unacked_.begin(), unacked_.end());
    if (!again_.insert(key).second) return false;
  }
  unacked_.push_back(std::move(key));
  return true;
}

Result<std::span<const knell_event* const>> DurableStream::read(size_t count) {
  while (listener_) {
    std::error_code error;
    const auto got = listener_.read(std::span(pointers_).first(std::min(count, kMostRead)), error);
    if (error) {
      const std::string why(explain());
      close();
      return say(error.value(), why);
    }
    if (got.empty()) break;
    size_t taken = 0;
    for (const knell_event* event : got) {
      if (!note_read(*event)) continue;
      knell_event& copy = events_[taken];
      copy = {};
      copy.size = std::min(event->size, sizeof copy);
      std::memcpy(&copy, event, copy.size);
      copy.size = std::min(event->size, sizeof copy);
      copy.seq = ++seq_;
      pointers_[taken++] = &copy;
    }
    if (taken != 0) return std::span(pointers_).first(taken);
  }
  return std::span<const knell_event* const>();
}

Result<void> DurableStream::ack(const std::string& cursor) {
  // The cursor is among the oldest ones; a lost event with the same cursor may follow it.
  const std::string key = cursor + ' ';
  const auto is_it = [&](const std::string& one) { return one.starts_with(key); };
  auto end = std::find_if(unacked_.begin(), unacked_.end(), is_it);
  if (end == unacked_.end()) end = unacked_.begin();
  unacked_.erase(unacked_.begin(), std::find_if_not(end, unacked_.end(), is_it));
  if (!listener_) return {};
  knell_event event{};
  event.size = sizeof event;
  event.cursor = {cursor.data(), cursor.size()};
  if (const auto error = listener_.ack(event)) return say(error.value(), explain());
  return {};
}

}  // namespace knell::fleet
