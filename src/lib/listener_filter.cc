// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/listener_filter.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/named_process.h"

namespace knell::lib {

ListenerFilter ListenerFilter::of(const knell_options& options) {
  ListenerFilter made;
  filter::Subscription& subscription = made.subscription;
  if (options.level == KNELL_LEVEL_RAW) subscription.stream = filter::Stream::kThreads;
  subscription.mask = filter::normalise(options.events);
  subscription.details = options.details;
  if (options.latency_ns == 0) {
    subscription.latency_ns = KNELL_LATENCY_DEFAULT_NS;
    subscription.under_load_ns = KNELL_LATENCY_UNDER_LOAD_NS;
  } else {
    subscription.latency_ns = std::max<int64_t>(options.latency_ns, 0);  // KNELL_LATENCY_NONE
  }
  subscription.only_added = options.only_added != 0;
  subscription.args_bytes = options.args_bytes;
  subscription.recover = options.recover != 0;
  return made;
}

Result<void> ListenerFilter::check_roots(std::span<const filter::Predicate> more) {
  for (const filter::Predicate& one : more) {
    if (one.key != filter::Key::kUnder) continue;
    const auto root = static_cast<int32_t>(std::get<int64_t>(one.value));
    if (!process_exists(root))
      return say(ESRCH, "under: there is no process " + std::to_string(root));
  }
  return {};
}

}  // namespace knell::lib
