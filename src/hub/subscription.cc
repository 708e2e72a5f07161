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
  using Words = filter::Predicates::Words;
  std::vector<const Words*> words;
  words.reserve(asked.predicates.size());
  size_t bytes = 0;
  for (const Words& one : asked.predicates) {
    words.push_back(&one);
    bytes += one.first.size() + one.second.size();
  }
  std::ranges::sort(words, {}, [](const Words* one) -> const Words& { return *one; });
  const auto equal = [](const Words* a, const Words* b) { return *a == *b; };
  words.erase(std::unique(words.begin(), words.end(), equal), words.end());
  std::string key;
  constexpr size_t kAround = 8;  // a predicate's punctuation, and more than what comes before
  key.reserve(bytes + kAround * (words.size() + 16));
  for (const uint64_t part : std::initializer_list<uint64_t>{
           static_cast<uint64_t>(asked.stream), asked.mask, static_cast<uint64_t>(asked.rule),
           asked.details, asked.only_added, scope.every_user, scope.every_user ? 0 : scope.uid,
           scope.ns})
    key += std::to_string(part) + ' ';
  // With their lengths: a value may hold any byte.
  for (const Words* one : words)
    key.append(one->first).append("=").append(std::to_string(one->second.size())).append(":") +=
        one->second;
  return key;
}

// What a predicate takes, before it is compiled: a pattern follows its length, anything else is
// looked up or compared once.
size_t weight_of(const std::string& values) {
  if (filter::is_glob(values)) return values.size();
  return 1 + static_cast<size_t>(std::ranges::count(values, ','));
}

}  // namespace

size_t Filter::values_of(const Subscription& subscription) {
  size_t values = 0;
  for (const auto& [key, value] : subscription.predicates)
    values += weight_of(value) + value.size() / kValueBytes;
  return values;
}

Result<Filter> Filter::of(Subscription subscription, const Scope& scope) {
  Filter filter;
  filter.scope = scope;
  KNELL_ASSIGN(filter.predicates, filter::Predicates::of(subscription.predicates));
  filter.needs = filter.predicates.needs();
  filter.claim = {.values = values_of(subscription),
                  .steps = subscription.predicates.empty() ? 0 : filter.predicates.most_steps(),
                  .roots = filter.needs.roots.size()};
  filter.key = key_of(subscription, scope);
  filter.subscription = std::move(subscription);
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
