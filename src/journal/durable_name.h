// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "filter/predicates.h"
#include "journal/record.h"

namespace knell::journal {

// One durable listener. Names of different owners are independent.
struct DurableName {
  std::string name;
  uint32_t owner = 0;  // uid
  uint32_t mask = 0;
  std::vector<filter::Predicate> predicates = {};  // none of `under`
  int64_t acked = 0;                               // seq: this event and all before it are done
  int64_t created_ns = 0, used_ns = 0;             // CLOCK_REALTIME
  // Unacknowledged events of the durable listener that the retention has deleted.
  uint64_t dropped = 0;
  uint32_t dropped_types = 0;
  bool dropped_exact = true;  // false: `dropped` is an upper bound

  uint32_t account = 0;  // the uid whose limit it counts for: owner, or that of which owner is a
                         // subordinate uid
  uint32_t details = KNELL_DETAILS_FULL;
  bool every_user = true;  // false: only events of processes of `owner`
  bool recover = false;    // it wants events that were lost and recovered
  // Not 0: events with this exclusion_bit() are not for it, from seq `excluded_since` on.
  uint32_t exclusion = 0;
  int64_t excluded_since = 0;
  int64_t delivered = 0;      // seq of the newest event that was sent, as far as it was committed
  uint64_t pending = 0;       // events in the journal that it wants and has not acknowledged
  bool pending_exact = true;  // false: `pending` is an upper bound
  int64_t oldest_pending_ns = 0;  // CLOCK_REALTIME: a lower bound for the oldest of them; 0: none
  uint64_t redelivered = 0;       // events that were sent again
  uint64_t failed = 0;            // events that the listener reported as failed
  bool operator==(const DurableName&) const = default;
};

// Names and their bounds. Chosen, not measured.
inline constexpr size_t kMostNameBytes = 64, kMostDurableNames = 256;
// Letters, digits and "._@-". Errors: EINVAL.
Result<void> check_durable_name(std::string_view name);

// Whether a process is under another one is known only when its event happens. So the writer marks
// an event that a listener excludes by `under`, in the upper bits of the flags of its record. There
// is a bit for each such listener: exclusions 1 to kMostExclusions.
inline constexpr uint32_t kMostExclusions = 16;
inline constexpr uint32_t kExclusionBits = 0xffff'0000;
constexpr uint32_t exclusion_bit(uint32_t exclusion) {
  return exclusion == 0 ? 0 : UINT32_C(1) << (15 + exclusion);
}

// Which events of the journal a durable listener gets. Immutable, so any thread may use it.
class DurableFilter {
 public:
  // Errors: EINVAL of predicates, or one is `under`.
  static Result<DurableFilter> create(const DurableName& name);

  bool may_want(const Record& record) const;
  // `event`: as read from the journal, with the upper bits of its flags.
  bool wants(const knell_event& event, int64_t seq) const;

 private:
  uint32_t mask_ = 0;
  uint32_t uid_ = 0;
  bool every_user_ = true;
  uint32_t excluded_ = 0;  // bits of flags
  int64_t excluded_since_ = 0;
  filter::Predicates predicates_;
};

}  // namespace knell::journal
