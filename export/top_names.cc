// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// Which names get a label of their own.
//
// The first names take the free places. After that a name must earn one, since a machine that
// starts a container or a transient unit a second has thousands of names that appear once. The
// frequency of names without a place is followed by the algorithm of Misra and Gries: a bounded
// table, in which a name that does not fit makes all frequencies one less. A frequency there is
// never too high, so a name that appeared once never looks frequent. A candidate takes the place of
// the rarest name that is shown once it is twice as frequent, and a margin more: two names of the
// same frequency do not take turns.
#include "export/top_names.h"

#include <algorithm>

namespace knell::exporter {
namespace {

constexpr uint64_t kMargin = 8;  // chosen, not measured

void halve(std::map<std::string, uint64_t, std::less<>>& frequencies) {
  for (auto& [name, frequency] : frequencies) frequency /= 2;
}

}  // namespace

TopNames::TopNames(size_t places, const std::vector<std::string>& configured, Time now)
    : places_(places), configured_(configured.begin(), configured.end()), aged_(now) {}

std::string_view TopNames::label(std::string_view name) const {
  name = name.substr(0, kMostBytes);
  return configured_.contains(name) || shown_.contains(name) ? name : kOther;
}

std::optional<std::string> TopNames::count(std::string_view name, Time now) {
  name = name.substr(0, kMostBytes);
  age(now);
  if (configured_.contains(name)) return std::nullopt;
  if (const auto at = shown_.find(name); at != shown_.end()) {
    ++at->second;
    return std::nullopt;
  }
  if (shown_.size() < places_) {
    shown_.emplace(name, 1);
    return std::nullopt;
  }
  return replace_the_rarest(name, count_candidate(name));
}

void TopNames::age(Time now) {
  if (now - aged_ < kHalfLife) return;
  aged_ = now;
  replaced_since_aged_ = 0;
  halve(shown_);
  halve(candidates_);
  std::erase_if(candidates_, [](const auto& one) { return one.second == 0; });
}

uint64_t TopNames::count_candidate(std::string_view name) {
  if (const auto at = candidates_.find(name); at != candidates_.end()) return ++at->second;
  if (candidates_.size() < kMostCandidates) {
    candidates_.emplace(name, 1);
    return 1;
  }
  for (auto& [other, frequency] : candidates_) --frequency;
  std::erase_if(candidates_, [](const auto& one) { return one.second == 0; });
  return 0;
}

std::optional<std::string> TopNames::replace_the_rarest(std::string_view name, uint64_t frequency) {
  if (frequency < kMargin || shown_.empty() || replaced_since_aged_ >= places_) return std::nullopt;
  const auto rarest =
      std::ranges::min_element(shown_, {}, [](const auto& one) { return one.second; });
  if (frequency < 2 * rarest->second + kMargin) return std::nullopt;
  std::string gone = rarest->first;
  shown_.erase(rarest);
  shown_.emplace(name, frequency);
  candidates_.erase(candidates_.find(name));
  ++replaced_since_aged_;
  ++replaced_;
  return gone;
}

}  // namespace knell::exporter
