// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/subscription.h"

#include <algorithm>
#include <initializer_list>

#include "filter/glob.h"

namespace knell::hub {
namespace {

// A long value counts as several: what they hold together is bounded by their number.
constexpr size_t kValueBytes = 64;  // picked, never tuned

// Equal filters are one however their predicates were ordered: alternatives and conditions commute.
std::string key_of(const Subscription& asked, const Scope& scope) {
  std::vector<std::string> words;
  words.reserve(asked.predicates.size());
  // With their lengths: a value may hold any byte.
  for (const auto& [key, value] : asked.predicates)
    words.emplace_back(key).append("=").append(std::to_string(value.size())).append(":") += value;
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  std::string key;
  for (const uint64_t part : std::initializer_list<uint64_t>{
           static_cast<uint64_t>(asked.stream), asked.mask, static_cast<uint64_t>(asked.rule),
           asked.details, asked.only_added, scope.every_user, scope.every_user ? 0 : scope.uid,
           scope.ns})
    key += std::to_string(part) + ' ';
  for (const std::string& word : words) key += word;
  return key;
}

// What a predicate may cost to judge: a pattern follows its length, anything else is looked up or
// compared once.
size_t weight_of(const std::string& values) {
  if (filter::is_glob(values)) return values.size();
  return 1 + static_cast<size_t>(std::ranges::count(values, ','));
}

}  // namespace

Result<Filter> Filter::of(const Subscription& subscription, const Scope& scope) {
  Filter filter;
  filter.subscription = subscription;
  filter.scope = scope;
  for (const auto& [key, value] : subscription.predicates) {
    KNELL_TRY(filter.predicates.add(key, value));
    filter.claim.values += weight_of(value) + value.size() / kValueBytes;
  }
  filter.needs = filter.predicates.needs();
  filter.claim.roots = filter.needs.roots.size();
  filter.key = key_of(subscription, scope);
  return filter;
}

filter::Want Filter::want() const {
  filter::Want want{subscription.mask, KNELL_LEVEL_PROCESS, subscription.details, needs};
  if (subscription.stream != Stream::kProcesses) want.level = KNELL_LEVEL_RAW;
  if (subscription.stream == Stream::kDatagrams) want.details = KNELL_DETAILS_STATUS;
  if (scope.ns != 0) {
    // The pids it names are of another namespace than the source's.
    want.needs.pids.clear();
  }
  if (!scope.every_user) {
    want.needs.uids = {scope.uid};
    want.needs.details = std::min<uint32_t>(want.needs.details, KNELL_DETAILS_NAMES);
  }
  if (subscription.stream == Stream::kDatagrams) want.needs.details = KNELL_DETAILS_STATUS;
  return want;
}

bool Filter::wants_type(uint32_t type, bool zero) const {
  const uint32_t code = type == KNELL_EVENT_EXIT && !zero ? 1 : 0;
  if (!filter::passes(subscription.rule, subscription.mask, type, code)) return false;
  if (type == KNELL_EVENT_NONE) return predicates.empty();
  return filter::passes(filter::Rule::kReleased, needs.possible, type, code);
}

}  // namespace knell::hub
