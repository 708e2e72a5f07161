// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/subscription.h"

#include <algorithm>

namespace knell::filter {

Latency latency_of(const Subscription& subscription) {
  return {subscription.latency_ns, std::max(subscription.latency_ns, subscription.under_load_ns)};
}

Interest interest_of(const Subscription& subscription, const Predicates& predicates) {
  // A lower number means more details: 0 is full.
  static_assert(KNELL_DETAILS_FULL < KNELL_DETAILS_NAMES &&
                KNELL_DETAILS_NAMES < KNELL_DETAILS_STATUS);
  Interest interest = predicates.needs();
  interest.mask = subscription.mask;
  interest.only_added = subscription.only_added;
  interest.recover = subscription.recover;
  if (subscription.stream != Stream::kProcesses) interest.level = KNELL_LEVEL_RAW;
  interest.details = subscription.stream == Stream::kDatagrams
                         ? uint32_t{KNELL_DETAILS_STATUS}
                         : std::min(interest.details, subscription.details);
  return interest;
}

}  // namespace knell::filter
