// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "source/bpf/record.h"

namespace knell::source {

// Bytes on an 8-byte boundary, as they lie in a ring.
class RecordBytes {
 public:
  template <class T>
  explicit RecordBytes(const T& head, std::string_view tail = {})
      : size_(sizeof head + tail.size()) {
    storage_.resize((size_ + 7) / 8);
    std::memcpy(storage_.data(), &head, sizeof head);
    if (tail.empty()) return;
    std::memcpy(reinterpret_cast<char*>(storage_.data()) + sizeof head, tail.data(), tail.size());
  }
  std::string_view view() const { return {reinterpret_cast<const char*>(storage_.data()), size_}; }

 private:
  std::vector<uint64_t> storage_;
  size_t size_;
};

inline std::string bytes_of(const std::vector<knell_numbers>& levels) {
  return {reinterpret_cast<const char*>(levels.data()), levels.size() * sizeof(knell_numbers)};
}

inline std::string bytes_of(const knell_sender& sender) {
  return {reinterpret_cast<const char*>(&sender), sizeof sender};
}

}  // namespace knell::source
