// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace knell::cli {

// One message in the encoding of Protocol Buffers: fields of the two kinds that are needed.
class ProtobufWriter {
 public:
  ProtobufWriter& number(uint32_t field, uint64_t value) {
    append_varint(uint64_t{field} << 3);
    append_varint(value);
    return *this;
  }
  // A string, or the bytes of another message.
  ProtobufWriter& bytes(uint32_t field, std::string_view value) {
    constexpr uint64_t kLengthDelimited = 2;
    append_varint(uint64_t{field} << 3 | kLengthDelimited);
    append_varint(value.size());
    bytes_ += value;
    return *this;
  }
  ProtobufWriter& message(uint32_t field, const ProtobufWriter& value) {
    return bytes(field, value.bytes_);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void append_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

}  // namespace knell::cli
