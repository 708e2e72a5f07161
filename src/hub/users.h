// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "base/result.h"

namespace knell::hub {

// What listeners may take; 0 is none at all, not no limit.
struct Limits {
  size_t listeners = 4096;
  size_t listeners_per_user = 256;
  size_t queue_bytes = size_t{4} << 20;     // of one listener
  size_t memory_bytes = size_t{256} << 20;  // of all queues
  size_t user_bytes = size_t{64} << 20;     // of the queues of one user
  size_t values_per_user = 4096;            // of predicates
  size_t values = 65536;                    // of all: a user may have many uids
  size_t roots_per_user = 16;               // `under`: there are 64 for all together
  size_t added_per_user = size_t{1} << 16;  // processes added one by one
  size_t added = size_t{1} << 20;
  size_t answer_bytes_per_user = size_t{8} << 20;  // that wait, when a long one is asked for
  size_t answer_bytes = size_t{64} << 20;          // all users but root: half of it
};

// What each user's listeners hold. uid 0 is bound by the limits of all, not by those of a user.
class Users {
 public:
  struct Account {
    size_t listeners = 0, bytes = 0, answer_bytes = 0, values = 0, roots = 0, added = 0;
    bool operator==(const Account&) const = default;
  };
  // What a filter takes.
  struct Claim {
    size_t values = 0, roots = 0;
  };

  // Errors: EUSERS, EDQUOT: in words.
  Result<Account*> enter(uint32_t uid, const Limits& limits);
  void leave(uint32_t uid);
  // `less` is given back for `more`. Giving back alone never fails.
  Result<void> claim(uint32_t uid, Account& account, Claim less, Claim more, const Limits& limits);
  Result<void> take_added(uint32_t uid, Account& account, const Limits& limits);
  void give_added(Account& account, size_t count);
  // Whether so many bytes more may wait for it to be read, where `waiting` do for everybody. Takes
  // nothing. Errors: EDQUOT, ENOBUFS.
  static Result<void> room_for_answer(uint32_t uid, const Account& account, size_t bytes,
                                      size_t waiting, const Limits& limits);

  const std::map<uint32_t, Account>& all() const { return accounts_; }
  size_t listeners() const { return listeners_; }

 private:
  std::map<uint32_t, Account> accounts_;  // pointers into it stay good
  size_t listeners_ = 0, values_ = 0, added_ = 0;
};

}  // namespace knell::hub
