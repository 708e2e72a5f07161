// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

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

// What one reader asks of some hosts, until its lease ends.
struct Selector {
  std::string owner;        // names the reader: its next selector replaces this one
  std::string hosts = "*";  // a glob of names of hosts
  uint32_t events = 0;      // a mask of knell.h
  // Keys and values of knell_match(); the values of a key are alternatives.
  std::map<std::string, std::vector<std::string>> predicates;
  int64_t expires_ms = 0;  // CLOCK_REALTIME, ms since the epoch

  bool operator==(const Selector&) const = default;
};

std::string selector_json(const Selector& selector);
// Errors: EINVAL: not a value of selector_json(), or above a bound.
Result<Selector> parse_selector(const JsonValue& value);

// The interest of a fleet: all selectors, in one value under one key of a bucket. A reader changes
// it by compare-and-set, and publishes the new value, so a host needs one message to know all of
// it, and one read after it was away.
struct FleetInterest {
  uint64_t revision = 0;  // of the key; 0: not stored
  std::vector<Selector> selectors;
  uint32_t shards = 1;  // streams of events; see subject.h
};

// A value is not trusted: these bound what a host does with it. All were picked.
constexpr size_t kMostSelectors = 256;
constexpr size_t kMostPredicates = 64;  // values of a selector
constexpr size_t kMostTextBytes = 1024;
constexpr size_t kMostInterestBytes = size_t{256} << 10;

std::string interest_json(const FleetInterest& interest);
// Errors: EINVAL: not a value of interest_json(), or above a bound.
Result<FleetInterest> parse_interest(const std::string& text);

// Adds the selector, in place of the one with its owner, and removes those whose lease ended more
// than kKeepEnded ago, or any that has ended if there is no room. Not at once: after an outage all
// leases have ended, and the first reader to renew must not remove what the others ask for. Errors:
// E2BIG: too many selectors.
constexpr std::chrono::milliseconds kKeepEnded = std::chrono::hours(24);
Result<void> put_selector(FleetInterest& interest, Selector selector, int64_t now_ms);
void remove_selector(FleetInterest& interest, const std::string& owner, int64_t now_ms);

// What one host sends: one mask and one set of predicates, which pass at least what each selector
// asks for. Readers select from it.
struct Wanted {
  uint32_t events = 0;  // 0: nothing
  std::map<std::string, std::vector<std::string>> predicates;

  bool operator==(const Wanted&) const = default;
};

// Joins the selectors that apply to this host at `now_ms`. `allowed`: the mask of what the host may
// send. Selectors with predicates that knell_match() refuses, or that name pids, are ignored:
// `on_refused` gets the owner and the reason.
struct RefusedSelector {
  std::string owner, reason;
};
Wanted wanted_of(const FleetInterest& interest, const std::string& host, int64_t now_ms,
                 uint32_t allowed, std::vector<RefusedSelector>* refused = nullptr);
// When the first of the leases ends that have not ended at `now_ms`; nullopt: there are none.
std::optional<int64_t> next_expiry_ms(const FleetInterest& interest, int64_t now_ms);

// The part of `events` that `allowed` permits. Both are masks in which 0 means nothing. Who may not
// send every exit may send the non-zero ones if NONZERO_EXIT is allowed.
uint32_t permitted(uint32_t events, uint32_t allowed);

// Checks the predicates of a selector. Errors: EINVAL.
Result<void> check_predicates(const Selector& selector);
// Checks a predicate of a fleet: those of knell_check_match() that do not name processes of one
// machine. Errors: EINVAL.
Result<void> check_predicate(const std::string& key, const std::string& value);

}  // namespace knell::fleet
