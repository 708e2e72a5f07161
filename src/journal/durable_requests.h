// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The requests of the daemon to the writer of the journal, which change the rows of durable
// listeners.
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "journal/durable_names.h"
#include "journal/store.h"

namespace knell::journal {

// A listener attaches to a name: creates it, or replaces its mask and predicates.
struct Attach {
  // Its name, owner, account, mask, predicates, details, every_user, recover.
  DurableName wanted;
  bool excludes = false;                    // needs an exclusion
  uint32_t from = KNELL_FROM_ACKNOWLEDGED;  // enum knell_from
  std::string cursor = {};     // not empty: instead of `from`, the first event after this one
  size_t most_of_account = 0;  // names that one account may have
};
struct Remove {
  uint32_t owner = 0;
  std::string name;
};
struct Acknowledge {
  std::string journal;  // id of the journal of `seq`
  uint32_t owner = 0;
  std::string name;
  int64_t seq = 0;
  Acknowledged what = {};
};
// Counters of a name that may be written later.
struct Note {
  uint32_t owner = 0;
  std::string name;
  std::string journal = {};              // id of the journal of `delivered`; empty: of none
  int64_t delivered = 0;                 // seq of the newest event that was sent; 0: unchanged
  uint64_t redelivered = 0, failed = 0;  // added to the counters
};
struct DurableRequest {
  uint64_t token = 0;  // returned with the answer; 0: no answer is needed
  std::variant<Attach, Remove, Acknowledge, Note> what;
};

// If the request is a note, and the last waiting request for its name is a note of the same journal
// too, adds it to that and returns true. So the number of notes that wait for a slow disk is
// bounded.
bool merge_note(const DurableRequest& request, std::vector<DurableRequest>& waiting);

// Applies the request in the current transaction of the store. Returns the resulting row (for
// Remove: the removed row). Errors: ENOENT there is no such name; EDQUOT, EUSERS too many names;
// EINVAL a malformed cursor or predicate; ESTALE a cursor or acknowledgement of another journal,
// ERANGE of a later event: the message says what to do; others: the transaction failed. Of a note
// for another journal only the counters are applied.
Result<DurableName> apply(const DurableRequest& request, Store& store, int64_t now_ns);
// ESTALE, for an acknowledgement.
std::unexpected<Error> other_journal();
// Whether the error is caused by the request, so that the transaction continues.
bool is_refusal(const Error& error);

}  // namespace knell::journal
