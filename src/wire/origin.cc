// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/origin.h"

#include <sys/utsname.h>

#include <utility>

namespace knell::wire {

static_assert(sizeof(OriginClocks) == 16 && sizeof(OriginSubscription) == 24);

Origin origin_here(const Clock& clock, std::string boot_id) {
  utsname about{};
  (void)::uname(&about);
  const auto monotonic = static_cast<int64_t>(clock.monotonic_ns());
  Origin origin;
  origin.knell = KNELL_VERSION;
  origin.kernel = std::string(about.sysname) + ' ' + about.release + ' ' + about.machine;
  origin.boot_id = std::move(boot_id);
  origin.clock = {.epoch_ns = clock.realtime_ns() - monotonic,
                  .boot_ahead_ns = static_cast<int64_t>(clock.boottime_ns()) - monotonic};
  origin.subscription.started_ns = clock.realtime_ns();
  return origin;
}

void put_origin(FrameWriter& frame, const Origin& origin) {
  frame.attribute(kKnell, std::string_view(origin.knell).substr(0, kMostText));
  frame.attribute(kKernel, std::string_view(origin.kernel).substr(0, kMostText));
  frame.attribute(kBootId, std::string_view(origin.boot_id).substr(0, kMostText));
  frame.attribute(kClock, origin.clock);
  frame.attribute(kSubscription, origin.subscription);
  frame.attribute(kSelection, std::string_view(origin.selection).substr(0, kMostText));
}

AttributeResult read_origin(const AttributeView& attribute, Origin& origin) {
  const auto result_of = [](bool good) {
    return good ? AttributeResult::kKnown : AttributeResult::kMalformed;
  };
  const std::string_view text = attribute.bytes.substr(0, kMostText);
  switch (attribute.type) {
    case kKnell:
      origin.knell = text;
      return AttributeResult::kKnown;
    case kKernel:
      origin.kernel = text;
      return AttributeResult::kKnown;
    case kBootId:
      origin.boot_id = text;
      return AttributeResult::kKnown;
    case kSelection:
      origin.selection = text;
      return AttributeResult::kKnown;
    case kClock:
      return result_of(load(attribute.bytes, origin.clock));
    case kSubscription:
      return result_of(load(attribute.bytes, origin.subscription));
    default:
      return AttributeResult::kUnknown;
  }
}

}  // namespace knell::wire
