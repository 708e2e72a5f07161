// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/filter.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "filter/glob.h"

namespace knell::hub {
namespace {

// A long value counts as several values, so that the limit on values also bounds their bytes.
constexpr size_t kValueBytes = 64;  // chosen, not measured

template <class T>
void append_bytes(std::string& key, const T& value) {
  key.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// A text may contain any byte, so its length comes first.
void append_value(std::string& key, const filter::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    append_bytes(key, text->size());
    key += *text;
  } else if (const auto* number = std::get_if<int64_t>(&value)) {
    append_bytes(key, *number);
  } else {
    append_bytes(key, std::get<filter::Ended>(value));
  }
}

// The order in which predicates were given does not change the key: values() is sorted.
std::string key_of(const Filter& filter) {
  const Subscription& asked = filter.subscription;
  const Scope& scope = filter.scope;
  std::string key;
  for (const uint64_t part : std::initializer_list<uint64_t>{
           static_cast<uint64_t>(asked.stream), asked.mask, static_cast<uint64_t>(asked.rule),
           asked.details, asked.only_added, asked.recover, scope.every_user,
           scope.every_user ? 0 : scope.uid, scope.ns})
    key += std::to_string(part) + ' ';
  for (const filter::Predicate& one : filter.predicates.values()) {
    append_bytes(key, one.key);
    append_bytes(key, one.excluded);
    append_value(key, one.value);
    append_bytes(key, one.start);
  }
  return key;
}

// The weight of a value against the quota, known before it is compiled: the length of a pattern, 1
// for any other value, more for long text.
size_t weight_of(const filter::Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return 1;
  return (filter::is_glob(*text) ? text->size() : 1) + text->size() / kValueBytes;
}

filter::Interest interest_within(const Scope& scope, const Subscription& subscription,
                                 const filter::Predicates& predicates) {
  filter::Interest interest = filter::interest_of(subscription, predicates);
  if (scope.ns != 0) {
    // In another pid namespace the listener's pids have no meaning for the sources.
    interest.pids.clear();
    interest.only_added = false;
    interest.namespaces = true;
  }
  if (!scope.every_user) {
    interest.uids = {scope.uid};
    if (subscription.stream != filter::Stream::kDatagrams)
      interest.details = std::min<uint32_t>(interest.details, KNELL_DETAILS_NAMES);
  }
  return interest;
}

}  // namespace

size_t Filter::values_of(const Subscription& subscription) {
  size_t values = 0;
  for (const filter::Predicate& one : subscription.predicates) values += weight_of(one.value);
  return values;
}

Result<Filter> Filter::create(Subscription subscription, const Scope& scope) {
  Filter filter;
  filter.scope = scope;
  const size_t values = values_of(subscription);
  KNELL_ASSIGN(filter.predicates,
               filter::Predicates::create(std::exchange(subscription.predicates, {})));
  filter.subscription = std::move(subscription);
  filter.interest = interest_within(scope, filter.subscription, filter.predicates);
  filter.claim = {.values = values,
                  .steps = filter.predicates.empty() ? 0 : filter.predicates.most_steps(),
                  .roots = filter.interest.roots.size()};
  filter.key = key_of(filter);
  return filter;
}

bool Filter::wants_type(uint32_t type, bool zero) const {
  const uint32_t code = type == KNELL_EVENT_EXIT && !zero ? 1 : 0;
  if (!filter::passes(subscription.rule, subscription.mask, type, code)) return false;
  if (type == KNELL_EVENT_NONE) return predicates.empty();
  return filter::passes(filter::Rule::kReleased, interest.possible, type, code);
}

}  // namespace knell::hub
