// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "base/result.h"
#include "hub/owners.h"

namespace knell::hub {

// What listeners may take; 0 is none at all, not no limit. Of what there is for all together a
// share is root's alone, so that root can look and act whatever users do: a sixteenth, of `roots` a
// quarter, of `answer_bytes` half.
struct Limits {
  size_t listeners = 4096;
  size_t listeners_per_user = 256;
  size_t queue_bytes = size_t{4} << 20;     // of one listener
  size_t memory_bytes = size_t{256} << 20;  // of all queues
  size_t user_bytes = size_t{64} << 20;     // of the queues of one user
  size_t values_per_user = 4096;            // of predicates
  size_t values = 65536;                    // of all
  size_t steps_per_user = size_t{1} << 17;  // to judge one event; filter::Predicates::most_steps()
  size_t roots_per_user = 16;               // of `under`
  size_t roots = 64;                        // a bit each in what the sources tell
  size_t added_per_user = size_t{1} << 16;  // processes added one by one
  size_t added = size_t{1} << 20;
  size_t answer_bytes_per_user = size_t{8} << 20;  // that wait, when a long one is asked for
  size_t answer_bytes = size_t{64} << 20;
};

// Who enters before somebody.
struct Ahead {
  size_t of_user = 0, of_all = 0;
};

// What each user's listeners hold. A user is who answers for a uid: what subordinate uids take
// counts as their owner's. uid 0 is bound by the limits of all, not by those of a user.
class Users {
 public:
  struct Account {
    uint32_t owner = 0;
    size_t listeners = 0, bytes = 0, answer_bytes = 0, values = 0, steps = 0, roots = 0, added = 0;
    bool is_root() const { return owner == 0; }
    bool operator==(const Account&) const = default;
  };
  // What a filter takes.
  struct Claim {
    size_t values = 0, steps = 0, roots = 0;
  };

  // From now on; who is connected stays in the account that was opened.
  void set_owners(Owners owners) { owners_ = std::move(owners); }
  uint32_t owner_of(uint32_t uid) const { return owners_.owner_of(uid); }

  // Whether enter() would be granted. Errors: EUSERS, in words.
  Result<void> may_enter(uint32_t uid, const Limits& limits, Ahead ahead = {}) const;
  Result<Account*> enter(uint32_t uid, const Limits& limits);
  void leave(Account& account);
  // Whether claim() would be granted. Errors: EDQUOT, ENOSPC, in words.
  Result<void> may_claim(const Account& account, Claim less, Claim more,
                         const Limits& limits) const;
  // `less` is given back for `more`. Giving back alone never fails.
  Result<void> claim(Account& account, Claim less, Claim more, const Limits& limits);
  // The same without a bound: what was granted before is taken back.
  void exchange(Account& account, Claim less, Claim more);
  Result<void> take_added(Account& account, const Limits& limits);
  void give_added(Account& account, size_t count);
  // Whether so many bytes more may wait for it to be read, where `waiting` do for everybody. Takes
  // nothing. Errors: EDQUOT, ENOBUFS.
  static Result<void> room_for_answer(const Account& account, size_t bytes, size_t waiting,
                                      const Limits& limits);

  const std::map<uint32_t, Account>& all() const { return accounts_; }  // by owner
  size_t listeners() const { return listeners_; }

 private:
  Owners owners_;
  std::map<uint32_t, Account> accounts_;  // pointers into it stay good
  size_t listeners_ = 0, values_ = 0, added_ = 0;
  size_t roots_of_users_ = 0;  // without root's
};

}  // namespace knell::hub
