// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/interest.h"

#include <fmt/format.h>

#include <algorithm>
#include <knell/knell.hpp>

#include "fleet/event_details.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

constexpr uint32_t kExits = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;
constexpr size_t kMostKeyBytes = 64;  // more than any key of knell_match()

// Joins the values of one key: `into` then passes what it passed before, and what `other` passes.
// False: no set of values can express that, so the key must be removed.
bool join_values(const std::string& key, std::vector<std::string>& into,
                 const std::vector<std::string>& other) {
  if (into == other) return true;
  const auto excludes = [](const std::string& value) { return value.find('!') != value.npos; };
  // `!value` excludes from all alternatives of its key, also from those of the other selector; and
  // the bounds longer and shorter have one value.
  if (key == "longer" || key == "shorter" || std::ranges::any_of(into, excludes) ||
      std::ranges::any_of(other, excludes))
    return false;
  for (const std::string& value : other)
    if (std::ranges::find(into, value) == into.end()) into.push_back(value);
  return true;
}

void join(Wanted& wanted, const Selector& selector, bool first) {
  wanted.events |= selector.events;
  if (first) {
    wanted.predicates = selector.predicates;
    return;
  }
  for (auto at = wanted.predicates.begin(); at != wanted.predicates.end();) {
    const auto found = selector.predicates.find(at->first);
    const bool kept =
        found != selector.predicates.end() && join_values(at->first, at->second, found->second);
    at = kept ? std::next(at) : wanted.predicates.erase(at);
  }
}

void remove_ended(FleetInterest& interest, int64_t time_ms) {
  std::erase_if(interest.selectors,
                [&](const Selector& selector) { return selector.expires_ms <= time_ms; });
}

}  // namespace

Result<void> check_predicate(const std::string& key, const std::string& value) {
  if (key == "pid" || key == "under")
    return say(EINVAL, fmt::format("{} names a process of one machine", key));
  if (key == "user") return say(EINVAL, "the names of users differ between machines: use uid");
  if (check_match(key, value)) return say(EINVAL, explain());
  return {};
}

Result<void> check_predicates(const Selector& selector, uint32_t details) {
  for (const auto& [key, values] : selector.predicates)
    for (const std::string& value : values) {
      KNELL_TRY(check_predicate(key, value));
      if (!has_details(details, details_of(key, value)))
        return say(EINVAL,
                   fmt::format("{}={} needs more details than the host sends (--details {})", key,
                               printable(value), details_name(details)));
    }
  return {};
}

std::string selector_json(const Selector& selector) {
  std::string out = fmt::format(R"({{"owner":{},"hosts":{},"events":{},"expires_ms":{},"match":[)",
                                json_string(selector.owner), json_string(selector.hosts),
                                json_string(events_text(selector.events)), selector.expires_ms);
  for (const auto& [key, values] : selector.predicates)
    for (const std::string& value : values) {
      if (out.back() != '[') out += ',';
      out += fmt::format(R"({{"key":{},"value":{}}})", json_string(key), json_string(value));
    }
  return out + "]}";
}

Result<void> check_limits(const Selector& selector) {
  size_t count = 0;
  for (const auto& [key, values] : selector.predicates)
    for (const std::string& value : values) {
      if (++count > kMostPredicates)
        return say(EINVAL,
                   fmt::format("{}: more than {} values of predicates", key, kMostPredicates));
      if (value.size() > kMostTextBytes)
        return say(EINVAL, fmt::format("{}: a value has {} bytes, and the limit is {}: give "
                                       "several values, each with a part of the list",
                                       key, value.size(), kMostTextBytes));
    }
  return {};
}

Result<Selector> parse_selector(const JsonValue& value) {
  const auto invalid = [](std::string_view what) {
    return say(EINVAL, fmt::format("invalid interest: {}", what));
  };
  Selector selector;
  selector.owner = value["owner"].text();
  selector.hosts = value["hosts"].text();
  selector.expires_ms =
      static_cast<int64_t>(std::min<uint64_t>(value["expires_ms"].count(), kMostExpiresMs));
  if (selector.owner.empty() || selector.owner.size() > kMostTextBytes)
    return invalid("a selector has no owner");
  if (selector.hosts.empty() || selector.hosts.size() > kMostHostBytes)
    return invalid("a selector has no glob of hosts");
  std::error_code error;
  const std::string events = value["events"].text();
  if (events.empty() || events.size() > kMostTextBytes) return invalid("a selector has no events");
  selector.events = events_parse(events, error);
  if (error) return invalid(explain());
  for (const JsonValue* pair : value["match"].items()) {
    const std::string key = (*pair)["key"].text();
    if (key.size() > kMostKeyBytes) return invalid("a key of a predicate is too long");
    selector.predicates[key].push_back((*pair)["value"].text());
  }
  if (const auto checked = check_limits(selector); !checked)
    return invalid(checked.error().message());
  return selector;
}

std::string interest_json(const FleetInterest& interest) {
  std::string out = fmt::format(R"({{"revision":{},"shards":{},"selectors":[)", interest.revision,
                                interest.shards);
  for (const Selector& selector : interest.selectors) {
    if (out.back() != '[') out += ',';
    out += selector_json(selector);
  }
  return out + "]}";
}

bool fits(const FleetInterest& interest) {
  FleetInterest longest = interest;
  longest.revision = UINT64_MAX;
  return interest.selectors.size() <= kMostSelectors &&
         interest_json(longest).size() <= kMostInterestBytes;
}

Result<FleetInterest> parse_interest(const std::string& text) {
  if (text.empty()) return FleetInterest{};
  const auto root = text.size() <= kMostInterestBytes ? parse_json_object(text) : std::nullopt;
  if (!root) return say(EINVAL, "invalid interest: not a JSON object, or too long");
  FleetInterest interest;
  interest.revision = (*root)["revision"].count();
  const uint64_t shards = std::max<uint64_t>((*root)["shards"].count(), 1);
  if (shards > kMostShards) return say(EINVAL, "invalid interest: too many shards");
  interest.shards = static_cast<uint32_t>(shards);
  const auto values = (*root)["selectors"].items();
  if (values.size() > kMostSelectors) return say(EINVAL, "invalid interest: too many selectors");
  for (const JsonValue* value : values) {
    if (auto selector = parse_selector(*value))
      interest.selectors.push_back(*std::move(selector));
    else
      interest.invalid.push_back(
          {(*value)["owner"].text().substr(0, kMostTextBytes), selector.error().message()});
  }
  return interest;
}

Result<void> put_selector(FleetInterest& interest, Selector selector, int64_t now_ms) {
  KNELL_TRY(check_limits(selector));
  remove_selector(interest, selector.owner, now_ms);
  interest.selectors.push_back(std::move(selector));
  if (!fits(interest)) {
    Selector own = std::move(interest.selectors.back());
    interest.selectors.pop_back();
    remove_ended(interest, now_ms);
    interest.selectors.push_back(std::move(own));
  }
  if (fits(interest)) return {};
  interest.selectors.pop_back();
  return say(E2BIG, fmt::format("no room for the request beside those of {} readers: the maximum "
                                "of a fleet is {} readers and {} bytes",
                                interest.selectors.size(), kMostSelectors, kMostInterestBytes));
}

void remove_selector(FleetInterest& interest, const std::string& owner, int64_t now_ms) {
  std::erase_if(interest.selectors,
                [&](const Selector& selector) { return selector.owner == owner; });
  remove_ended(interest, now_ms - kKeepEnded.count());
}

uint32_t permitted(uint32_t events, uint32_t allowed) {
  uint32_t out = events & allowed & ~kExits;
  if ((events & allowed & KNELL_EVENT_EXIT) != 0)
    out |= KNELL_EVENT_EXIT;
  else if ((events & kExits) != 0 && (allowed & kExits) != 0)
    out |= KNELL_EVENT_NONZERO_EXIT;
  return out;
}

Wanted wanted_of(const FleetInterest& interest, const std::string& host, int64_t now_ms,
                 uint32_t allowed, std::vector<RefusedSelector>* refused, uint32_t details) {
  Wanted wanted;
  bool first = true;
  if (refused) refused->insert(refused->end(), interest.invalid.begin(), interest.invalid.end());
  for (const Selector& selector : interest.selectors) {
    if (selector.expires_ms <= now_ms || !host_matches(selector.hosts, host)) continue;
    if (const auto checked = check_predicates(selector, details); !checked) {
      if (refused) refused->push_back({selector.owner, checked.error().message()});
      continue;
    }
    join(wanted, selector, first);
    first = false;
  }
  wanted.events = permitted(wanted.events, allowed);
  if (wanted.events == 0) wanted.predicates.clear();
  return wanted;
}

std::optional<int64_t> next_expiry_ms(const FleetInterest& interest, int64_t now_ms) {
  std::optional<int64_t> next;
  for (const Selector& selector : interest.selectors)
    if (selector.expires_ms > now_ms)
      next = std::min(next.value_or(INT64_MAX), selector.expires_ms);
  return next;
}

}  // namespace knell::fleet
