// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json_value.h"
#include "base/result.h"

namespace knell::fleet {

// The events that one reader requests from some hosts, until the lease of the selector ends.
struct Selector {
  std::string owner;        // name of the reader: its next selector replaces this one
  std::string hosts = "*";  // a glob of names of hosts
  uint32_t events = 0;      // a mask of knell.h
  // Keys and values of knell_match(); the values of a key are alternatives.
  std::map<std::string, std::vector<std::string>> predicates;
  int64_t expires_ms = 0;  // CLOCK_REALTIME, ms since the epoch

  bool operator==(const Selector&) const = default;
};

// These limits bound the work of a host, which does not trust the interest. They are chosen, not
// measured. Those who write a selector or the interest check them too, since hosts ignore selectors
// above the limits.
constexpr size_t kMostSelectors = 256;
constexpr size_t kMostPredicates = 64;  // values of a selector
constexpr size_t kMostTextBytes = 1024;
constexpr size_t kMostInterestBytes = size_t{256} << 10;
constexpr int64_t kMostExpiresMs =
    INT64_MAX / 2'000'000;  // the year 2116; fits in ns, and sums too

std::string selector_json(const Selector& selector);
// Errors: EINVAL: not a value of selector_json(), or above a limit.
Result<Selector> parse_selector(const JsonValue& value);
// Checks the number and the size of the predicates. Errors: EINVAL, with a message that begins with
// the key of the predicate.
Result<void> check_limits(const Selector& selector);

// A selector that a host ignores.
struct RefusedSelector {
  std::string owner, reason;
};

// The interest of a fleet: all selectors, in one value under one key of a bucket. A reader changes
// the value by compare-and-set, and publishes the new value. So one message is enough to inform a
// host, or one read after the host was disconnected.
struct FleetInterest {
  uint64_t revision = 0;  // of the key; 0: not stored
  std::vector<Selector> selectors;
  uint32_t shards = 1;  // streams of events; see subject.h
  // The invalid selectors of the parsed value. interest_json() does not write them.
  std::vector<RefusedSelector> invalid = {};
};

std::string interest_json(const FleetInterest& interest);
// Whether the interest is below the limits, whatever its revision.
bool fits(const FleetInterest& interest);
// An empty text is the marker of a deleted key: the default interest. Errors: EINVAL: not a value
// of interest_json(), or too long. A selector that is invalid is added to `invalid`, because it
// must not remove the selectors of other readers.
Result<FleetInterest> parse_interest(const std::string& text);

// Adds the selector, in place of the one with the same owner. Removes selectors whose lease ended
// more than kKeepEnded ago, or any whose lease has ended if there is no room. They are kept for
// this time because after an outage all leases have ended, and the first reader that renews its
// lease must not remove the selectors of the others. Errors: EINVAL: as check_limits(); E2BIG: no
// room.
constexpr std::chrono::milliseconds kKeepEnded = std::chrono::hours(24);
Result<void> put_selector(FleetInterest& interest, Selector selector, int64_t now_ms);
void remove_selector(FleetInterest& interest, const std::string& owner, int64_t now_ms);

// The events that one host sends: one mask and one set of predicates, which pass at least the
// events of each selector. Readers filter the events again.
struct Wanted {
  uint32_t events = 0;  // 0: nothing
  std::map<std::string, std::vector<std::string>> predicates;

  bool operator==(const Wanted&) const = default;
};

// Joins the selectors that apply to this host at `now_ms`. `allowed`: mask of the events that the
// host may send; `details`: the details that it sends (enum knell_details). Selectors with
// predicates that check_predicates() refuses are ignored and appended to `refused`, after the
// invalid ones.
Wanted wanted_of(const FleetInterest& interest, const std::string& host, int64_t now_ms,
                 uint32_t allowed, std::vector<RefusedSelector>* refused = nullptr,
                 uint32_t details = KNELL_DETAILS_FULL);
// The time when the next lease ends after `now_ms`; nullopt: no lease does.
std::optional<int64_t> next_expiry_ms(const FleetInterest& interest, int64_t now_ms);

// The part of `events` that `allowed` permits. Both are masks in which 0 means nothing. If `events`
// has all exits and `allowed` has only NONZERO_EXIT, the result has NONZERO_EXIT.
uint32_t permitted(uint32_t events, uint32_t allowed);

// Checks the predicates of a selector for a host that sends these details. A predicate that needs
// more is refused, because the events that match it would show what the details leave out, and the
// reader, which tests it again, would drop them. Errors: EINVAL.
Result<void> check_predicates(const Selector& selector, uint32_t details = KNELL_DETAILS_FULL);
// Checks a predicate of a fleet: one that knell_check_match() accepts and that does not name
// processes of one machine. Errors: EINVAL.
Result<void> check_predicate(const std::string& key, const std::string& value);

}  // namespace knell::fleet
