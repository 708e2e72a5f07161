// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/event_filter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace knell::fleet {
namespace {

constexpr int kPipeBytes = 1 << 18;  // an event has up to 60 KiB of text

}  // namespace

EventFilter::~EventFilter() {
  listener_ = {};
  if (recorder_ != nullptr) (void)knell_recorder_close(recorder_);
}

Result<std::unique_ptr<EventFilter>> EventFilter::create(uint32_t events,
                                                         const Predicates& predicates) {
  std::unique_ptr<EventFilter> filter(new EventFilter());
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) < 0) return errno_error("make a pipe");
  filter->from_ = UniqueFd(ends[0]);
  filter->to_ = UniqueFd(ends[1]);
  (void)::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);

  Options options;
  options.via = KNELL_VIA_PIDFD;  // needs no privileges; nothing is added to it
  std::error_code error;
  filter->origin_ = Listener::open(options, error);
  if (error) return say(error.value(), explain());
  if (const int result =
          knell_recorder_open(ends[1], filter->origin_.get(), nullptr, &filter->recorder_);
      result < 0)
    return say(-result, explain());
  ReplayOptions replay;
  replay.events = events;
  filter->listener_ =
      Listener::open_recording(fmt::format("/proc/self/fd/{}", ends[0]), replay, error);
  if (error) return say(error.value(), explain());
  for (const auto& [key, values] : predicates)
    for (const std::string& value : values)
      if (const auto wrong = filter->listener_.match(key, value))
        return say(wrong.value(), explain());
  return filter;
}

bool EventFilter::passes(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) return true;
  const knell_event* const one = &event;
  if (knell_recorder_write(recorder_, &one, 1) < 0) return true;
  std::array<const knell_event*, 4> events{};
  std::error_code error;
  const auto got = listener_.read(events, error);
  return error || !got.empty();
}

}  // namespace knell::fleet
