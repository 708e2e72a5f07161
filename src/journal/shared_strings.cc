// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/shared_strings.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

namespace knell::journal {
namespace {

constexpr size_t kOnce = 32'768;  // picked: twice the texts that can have a number

}  // namespace

size_t SharedStrings::Hash::operator()(std::string_view text) const {
  return XXH3_64bits(text.data(), text.size());
}

SharedStrings::SharedStrings(int64_t base) : base_(base), once_(kOnce) {}

void SharedStrings::restart(int64_t base) {
  base_ = base;
  numbers_.clear();
  texts_.clear();
  stored_ = bytes_ = 0;
  std::ranges::fill(once_, 0);
}

std::optional<uint32_t> SharedStrings::number_of(std::string_view text) {
  if (text.size() < kLeastTextBytes || text.size() > kMostTextBytes) return std::nullopt;
  const size_t hash = Hash()(text);
  if (const auto known = numbers_.find(text); known != numbers_.end()) return known->second;
  size_t& once = once_[hash % kOnce];
  if (once != hash) {
    once = hash;
    return std::nullopt;
  }
  if (is_full()) return std::nullopt;
  const auto number = static_cast<uint32_t>(texts_.size());
  texts_.push_back(&numbers_.emplace(text, number).first->first);
  bytes_ += text.size();
  return number;
}

}  // namespace knell::journal
