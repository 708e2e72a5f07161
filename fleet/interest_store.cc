// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/interest_store.h"

#include "fleet/subject.h"

namespace knell::fleet {
namespace {

constexpr int kTries = 50;  // picked: at each try at least one reader succeeds

}  // namespace

Result<FleetInterest> stored_interest(Connection& connection) {
  KNELL_ASSIGN(const auto stored, connection.last_message(kInterestStream, kInterestSubject));
  if (!stored) return FleetInterest{};
  // A value that is invalid must not keep all readers out for ever.
  FleetInterest interest = parse_interest(stored->data).value_or(FleetInterest{});
  interest.revision = stored->seq;
  return interest;
}

Result<FleetInterest> change_interest(Connection& connection,
                                      const std::function<Result<void>(FleetInterest&)>& change) {
  for (int i = 0; i < kTries; ++i) {
    KNELL_ASSIGN(FleetInterest interest, stored_interest(connection));
    KNELL_TRY(change(interest));
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
