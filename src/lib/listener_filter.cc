// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/listener_filter.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/named_process.h"
#include "base/proc_stat.h"

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

Result<std::vector<filter::Predicate>> ListenerFilter::with_starts(
    std::span<const filter::Predicate> more) {
  std::vector<filter::Predicate> all(more.begin(), more.end());
  for (filter::Predicate& one : all) {
    if (one.key != filter::Key::kUnder) continue;
    const auto root = static_cast<int32_t>(std::get<int64_t>(one.value));
    const auto stat = read_proc_stat(root);
    if (!stat && !process_exists(root))
      return say(ESRCH, "under: there is no process " + std::to_string(root));
    if (stat) one.start = stat->start;
  }
  return all;
}

}  // namespace knell::lib
