// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

namespace knell::cli {

// Byte strings, each stored once and named by a number. Number 0 is the empty string, which stands
// for unknown. Not thread-safe.
class StringTable {
 public:
  uint32_t add(std::string_view bytes) {
    if (bytes.empty()) return 0;
    const auto found = numbers_.find(bytes);
    if (found != numbers_.end()) return found->second;
    strings_.emplace_back(bytes);  // a deque does not move its elements
    const auto number = static_cast<uint32_t>(strings_.size() - 1);
    numbers_.emplace(strings_.back(), number);
    return number;
  }
  std::string_view operator[](uint32_t number) const { return strings_[number]; }
  size_t size() const { return strings_.size(); }

 private:
  std::deque<std::string> strings_{""};
  std::unordered_map<std::string_view, uint32_t> numbers_;
};

}  // namespace knell::cli
