// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "base/result.h"
#include "hub/subordinate_uids.h"

namespace knell::hub {

// Quotas. 0 means none, not unlimited. A share of each quota for all users is reserved for root, so
// that root can always connect: a sixteenth; of `roots` a quarter; of `answer_bytes` half.
struct Quotas {
  size_t listeners = 4096;
  size_t listeners_per_user = 256;
  size_t queue_bytes = size_t{4} << 20;     // of one listener
  size_t memory_bytes = size_t{256} << 20;  // of all queues
  size_t user_bytes = size_t{64} << 20;     // of the queues of one user
  size_t values_per_user = 4096;            // of predicates
  size_t values = 65536;                    // of predicates, of all users
  // to test one event; see filter::Predicates::most_steps()
  size_t steps_per_user = size_t{1} << 17;
  size_t roots_per_user = 16;               // of `under`
  size_t roots = 64;                        // each is a bit in the records of the sources
  size_t added_per_user = size_t{1} << 16;  // processes added one by one
  size_t added = size_t{1} << 20;
  size_t answer_bytes_per_user = size_t{8}
                                 << 20;  // unread; checked when a long answer is asked for
  size_t answer_bytes = size_t{64} << 20;
};

// Connections that were accepted earlier and will enter before this one.
struct PendingConnections {
  size_t of_user = 0, of_all = 0;
};

// Accounts for what each user's listeners use. Subordinate uids are charged to their owner. The
// quotas per user do not apply to uid 0; the quotas for all do. Not thread-safe.
class Users {
 public:
  struct Account {
    uint32_t owner = 0;
    size_t listeners = 0, bytes = 0, answer_bytes = 0, values = 0, steps = 0, roots = 0, added = 0;
    bool is_root() const { return owner == 0; }
    bool operator==(const Account&) const = default;
  };
  // The share of the quotas that a filter takes.
  struct Claim {
    size_t values = 0, steps = 0, roots = 0;
  };

  // Affects later calls only: connected listeners keep their account.
  void set_subordinate_uids(SubordinateUids uids) { subordinate_uids_ = std::move(uids); }
  uint32_t owner_of(uint32_t uid) const { return subordinate_uids_.owner_of(uid); }

  // Whether enter() would succeed. Errors: EUSERS, with a message for the user.
  Result<void> may_enter(uint32_t uid, const Quotas& quotas, PendingConnections pending = {}) const;
  Result<Account*> enter(uint32_t uid, const Quotas& quotas);
  void leave(Account& account);
  // Whether claim() would succeed. Errors: EDQUOT, ENOSPC, with a message for the user.
  Result<void> may_claim(const Account& account, Claim less, Claim more,
                         const Quotas& quotas) const;
  // Releases `less` and takes `more`. Never fails if `more` is not above `less`.
  Result<void> claim(Account& account, Claim less, Claim more, const Quotas& quotas);
  // claim() without quotas: to return to a claim that was granted before.
  void force_claim(Account& account, Claim less, Claim more);
  Result<void> claim_added(Account& account, const Quotas& quotas);
  void release_added(Account& account, size_t count);
  // Whether `bytes` more of answers may be queued for a listener of this account. `waiting`: bytes
  // of answers queued for all users. Reserves nothing. Errors: EDQUOT, ENOBUFS.
  static Result<void> may_queue_answer(const Account& account, size_t bytes, size_t waiting,
                                       const Quotas& quotas);

  const std::map<uint32_t, Account>& all() const { return accounts_; }  // by owner
  size_t listeners() const { return listeners_; }

 private:
  SubordinateUids subordinate_uids_;
  std::map<uint32_t, Account> accounts_;  // a map: Account pointers stay valid
  size_t listeners_ = 0, values_ = 0, added_ = 0;
  size_t roots_of_users_ = 0;  // those of uid 0 are not counted
};

}  // namespace knell::hub
