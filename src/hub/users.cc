// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/users.h"

#include <string>

namespace knell::hub {

Result<Users::Account*> Users::enter(uint32_t uid, const Limits& limits) {
  if (listeners_ >= limits.listeners)
    return say(EUSERS, "the daemon has " + std::to_string(listeners_) +
                           " clients, the most it may have (limits.clients)");
  Account& account = accounts_[uid];
  if (uid != 0 && account.listeners >= limits.listeners_per_user) {
    const std::string words = "uid " + std::to_string(uid) + " has " +
                              std::to_string(account.listeners) +
                              " clients, the most a user may have (limits.clients_per_user)";
    if (account == Account{}) accounts_.erase(uid);
    return say(EUSERS, words);
  }
  ++account.listeners;
  ++listeners_;
  return &account;
}

void Users::leave(uint32_t uid) {
  const auto at = accounts_.find(uid);
  KNELL_CHECK(at != accounts_.end() && at->second.listeners > 0);
  --listeners_;
  if (--at->second.listeners == 0) accounts_.erase(at);
}

Result<void> Users::take_values(uint32_t uid, Account& account, size_t less, size_t more,
                                const Limits& limits) {
  if (uid != 0 && more > less && account.values - less + more > limits.values_per_user)
    return say(EDQUOT, "uid " + std::to_string(uid) + " would have " +
                           std::to_string(account.values - less + more) + " filter values, and " +
                           std::to_string(limits.values_per_user) +
                           " are the most a user may have (limits.filters_per_user)");
  account.values = account.values - less + more;
  return {};
}

Result<void> Users::take_added(uint32_t uid, Account& account, const Limits& limits) {
  if (uid != 0 && account.added >= limits.added_per_user)
    return say(EDQUOT, "uid " + std::to_string(uid) + " has added " +
                           std::to_string(account.added) + " processes, the most a user may add");
  ++account.added;
  return {};
}

}  // namespace knell::hub
