// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/listener_filter.h"

namespace knell::lib {

ListenerFilter ListenerFilter::of(const knell_options& options) {
  ListenerFilter made;
  filter::Subscription& subscription = made.subscription;
  if (options.level == KNELL_LEVEL_RAW) subscription.stream = filter::Stream::kThreads;
  subscription.mask = filter::normalise(options.events);
  subscription.details = options.details;
  subscription.latency_ns = options.latency_ns;
  subscription.only_added = options.only_added != 0;
  subscription.args_bytes = options.args_bytes;
  subscription.recover = options.recover != 0;
  return made;
}

}  // namespace knell::lib
