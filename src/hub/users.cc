// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// There are quotas for each user and quotas for all users together; a share of the latter is
// reserved for root. The few bits of `under` are divided so that no user can take the last of them:
// a user may have at most half of what remains for the others. So the first user gets 16, later
// ones fewer, and a dozen users get some.
#include "hub/users.h"

#include <algorithm>
#include <string>

namespace knell::hub {
namespace {

size_t share_of(const Users::Account& account, size_t all) {
  return account.is_root() ? all : all - all / 16;
}

std::string words_for(const Users::Account& account) {
  return "uid " + std::to_string(account.owner);
}

// "WHO would have COUNT WHAT; the limit is MOST" and then `of`, such as " for each user".
std::unexpected<Error> too_much(int error, const std::string& who, size_t count, const char* what,
                                size_t most, const char* of) {
  return say(error, who + " would have " + std::to_string(count) + ' ' + what + "; the limit is " +
                        std::to_string(most) + of);
}

}  // namespace

Result<void> Users::may_enter(uint32_t uid, const Quotas& quotas,
                              PendingConnections pending) const {
  const uint32_t owner = owner_of(uid);
  const auto at = accounts_.find(owner);
  const Account account = at == accounts_.end() ? Account{.owner = owner} : at->second;
  const size_t all = listeners_ + pending.of_all, its = account.listeners + pending.of_user;
  if (all >= share_of(account, quotas.listeners))
    return say(EUSERS, "the daemon has " + std::to_string(all) +
                           " clients, which is its limit (limits.clients)");
  if (!account.is_root() && its >= quotas.listeners_per_user)
    return say(EUSERS, words_for(account) + " has " + std::to_string(its) +
                           " clients, which is the limit of a user (limits.clients_per_user)");
  return {};
}

Result<Users::Account*> Users::enter(uint32_t uid, const Quotas& quotas) {
  KNELL_TRY(may_enter(uid, quotas));
  const uint32_t owner = owner_of(uid);
  Account& account = accounts_[owner];
  account.owner = owner;
  ++account.listeners;
  ++listeners_;
  return &account;
}

void Users::leave(Account& account) {
  KNELL_CHECK(account.listeners > 0);
  --listeners_;
  if (--account.listeners == 0) accounts_.erase(account.owner);
}

Result<void> Users::may_claim(const Account& account, Claim less, Claim more,
                              const Quotas& quotas) const {
  const bool bounded = !account.is_root();
  const std::string who = words_for(account);
  const size_t values = account.values - less.values + more.values;
  if (bounded && more.values > less.values && values > quotas.values_per_user)
    return too_much(EDQUOT, who, values, "filter values", quotas.values_per_user,
                    " for each user (limits.filters_per_user)");
  const size_t steps = account.steps - less.steps + more.steps;
  if (bounded && more.steps > less.steps && steps > quotas.steps_per_user)
    return too_much(EDQUOT, who, steps, "steps to match an event", quotas.steps_per_user,
                    " for each user (limits.filter_steps_per_user); patterns take the most steps, "
                    "above all those of exe with a * before the end");
  const size_t all_values = values_ - less.values + more.values;
  if (more.values > less.values && all_values > share_of(account, quotas.values))
    return too_much(EDQUOT, "the daemon", all_values, "filter values",
                    share_of(account, quotas.values), "");
  // Roots are counted for each listener here. The source follows each root once, however many
  // listeners name it, and limits the number of different roots.
  if (!bounded || more.roots <= less.roots) return {};
  const size_t roots = account.roots - less.roots + more.roots;
  if (roots > quotas.roots_per_user)
    return too_much(EDQUOT, who, roots, "processes named by `under`", quotas.roots_per_user,
                    " for each user");
  const size_t of_users = quotas.roots - quotas.roots / 4;
  const size_t others = roots_of_users_ - account.roots;
  // What is left for this user and for users that come later
  const size_t left = of_users > others ? of_users - others : 0;
  const size_t most = std::max(left / 3, std::min<size_t>(left, 1));
  if (roots > most)
    return too_much(ENOSPC, who, roots, "processes named by `under`", most,
                    " for this user now, since the rest is reserved for other users");
  return {};
}

Result<void> Users::claim(Account& account, Claim less, Claim more, const Quotas& quotas) {
  KNELL_TRY(may_claim(account, less, more, quotas));
  force_claim(account, less, more);
  return {};
}

void Users::force_claim(Account& account, Claim less, Claim more) {
  account.values += more.values - less.values;  // a decrease wraps around, which is right
  account.steps += more.steps - less.steps;
  account.roots += more.roots - less.roots;
  values_ += more.values - less.values;
  if (!account.is_root()) roots_of_users_ += more.roots - less.roots;
}

Result<void> Users::claim_added(Account& account, const Quotas& quotas) {
  if (!account.is_root() && account.added >= quotas.added_per_user)
    return too_much(EDQUOT, words_for(account), account.added + 1, "added processes",
                    quotas.added_per_user, " for each user");
  const size_t most = share_of(account, quotas.added);
  if (added_ >= most)
    return too_much(EDQUOT, "the daemon", added_ + 1, "added processes", most, "");
  ++account.added;
  ++added_;
  return {};
}

void Users::release_added(Account& account, size_t count) {
  account.added -= count;
  added_ -= count;
}

Result<void> Users::may_queue_answer(const Account& account, size_t bytes, size_t waiting,
                                     const Quotas& quotas) {
  const auto words = [&](const std::string& who, size_t most) {
    return who + " would have " + std::to_string(bytes) +
           " more bytes of unread answers; the limit is " + std::to_string(most) +
           ": read the answers first";
  };
  if (!account.is_root() && account.answer_bytes + bytes > quotas.answer_bytes_per_user)
    return say(EDQUOT, words(words_for(account), quotas.answer_bytes_per_user));
  const size_t most = account.is_root() ? quotas.answer_bytes : quotas.answer_bytes / 2;
  if (waiting + bytes > most) return say(ENOBUFS, words("the daemon's clients", most));
  return {};
}

}  // namespace knell::hub
