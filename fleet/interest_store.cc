// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/interest_store.h"

#include <fmt/format.h>

#include "fleet/subject.h"

namespace knell::fleet {
namespace {

constexpr int kTries = 50;  // picked: at each try at least one reader succeeds

}  // namespace

Result<FleetInterest> stored_interest(Connection& connection) {
  KNELL_ASSIGN(const auto stored, connection.last_message(kInterestStream, kInterestSubject));
  if (!stored) return FleetInterest{};
  auto interest = parse_interest(stored->data);
  // Not replaced: that would remove the selectors of all readers, and the number of shards.
  if (!interest)
    return say(EBADMSG, fmt::format("{}: correct the key {} of bucket {}, or delete it and run "
                                    "knell fleet init",
                                    interest.error().message(), kInterestKey, kInterestBucket));
  interest->revision = stored->seq;
  return interest;
}

Result<FleetInterest> change_interest(Connection& connection,
                                      const std::function<Result<void>(FleetInterest&)>& change) {
  for (int i = 0; i < kTries; ++i) {
    KNELL_ASSIGN(FleetInterest interest, stored_interest(connection));
    KNELL_TRY(change(interest));
    // Hosts and readers refuse a value above the limits.
    if (!fits(interest))
      return say(E2BIG, fmt::format("the interest would exceed {} bytes or {} selectors",
                                    kMostInterestBytes, kMostSelectors));
    KNELL_ASSIGN(const auto revision, connection.replace_last(kInterestSubject, interest.revision,
                                                              interest_json(interest)));
    if (!revision) continue;
    interest.revision = *revision;
    KNELL_TRY(connection.publish(kControlSubject, interest_json(interest)));
    return interest;
  }
  return say(EAGAIN, "too many readers change what they ask for at the same time");
}

}  // namespace knell::fleet
