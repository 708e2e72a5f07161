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

namespace {

// Who `would have` too much, of what, and what the most is.
std::unexpected<Error> too_much(const std::string& who, size_t count, const char* what, size_t most,
                                const char* limit) {
  return say(EDQUOT, who + " would have " + std::to_string(count) + ' ' + what + ", and " +
                         std::to_string(most) + " are the most " + limit);
}

}  // namespace

Result<void> Users::claim(uint32_t uid, Account& account, Claim less, Claim more,
                          const Limits& limits) {
  const size_t values = account.values - less.values + more.values;
  const size_t roots = account.roots - less.roots + more.roots;
  const size_t all = values_ - less.values + more.values;
  const std::string who = "uid " + std::to_string(uid);
  if (uid != 0 && more.values > less.values && values > limits.values_per_user)
    return too_much(who, values, "filter values", limits.values_per_user,
                    "a user may have (limits.filters_per_user)");
  if (uid != 0 && more.roots > less.roots && roots > limits.roots_per_user)
    return too_much(who, roots, "processes that `under` names", limits.roots_per_user,
                    "a user may have");
  if (more.values > less.values && all > limits.values)
    return too_much("the daemon", all, "filter values", limits.values, "it may have");
  account.values = values;
  account.roots = roots;
  values_ = all;
  return {};
}

Result<void> Users::take_added(uint32_t uid, Account& account, const Limits& limits) {
  if (uid != 0 && account.added >= limits.added_per_user)
    return too_much("uid " + std::to_string(uid), account.added + 1, "added processes",
                    limits.added_per_user, "a user may add");
  if (added_ >= limits.added)
    return too_much("the daemon", added_ + 1, "added processes", limits.added, "it may have");
  ++account.added;
  ++added_;
  return {};
}

void Users::give_added(Account& account, size_t count) {
  account.added -= count;
  added_ -= count;
}

// The other half is root's: whatever users do, it can ask what they do.
Result<void> Users::room_for_answer(uint32_t uid, const Account& account, size_t bytes,
                                    size_t waiting, const Limits& limits) {
  const auto words = [&](const std::string& who, size_t most) {
    return who + " would leave " + std::to_string(bytes) + " bytes more of answers unread, and " +
           std::to_string(most) + " are the most: read them first";
  };
  if (uid != 0 && account.answer_bytes + bytes > limits.answer_bytes_per_user)
    return say(EDQUOT, words("uid " + std::to_string(uid), limits.answer_bytes_per_user));
  const size_t most = uid == 0 ? limits.answer_bytes : limits.answer_bytes / 2;
  if (waiting + bytes > most) return say(ENOBUFS, words("the daemon's clients", most));
  return {};
}

}  // namespace knell::hub
