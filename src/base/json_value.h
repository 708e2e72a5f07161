// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knell {

// A value of a parsed JSON text. A missing member, or a value of another kind than asked for, reads
// as null, empty or 0, since another version of the daemon may send other members.
class JsonValue {
 public:
  enum class Kind { kNull, kTrue, kFalse, kNumber, kString, kArray, kObject };

  const JsonValue& operator[](std::string_view key) const;
  std::string text() const { return kind_ == Kind::kString ? text_ : ""; }
  std::optional<uint64_t> number() const;  // nullopt: not a whole number from 0 to 2^64-1
  uint64_t count() const { return number().value_or(0); }
  std::optional<double> real() const;
  bool is_object() const { return kind_ == Kind::kObject; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_true() const { return kind_ == Kind::kTrue; }
  // The elements of an array; empty for other kinds.
  std::vector<const JsonValue*> items() const;

 private:
  friend class JsonBuilder;
  Kind kind_ = Kind::kNull;
  std::string text_;                                        // a string, or the digits of a number
  std::vector<std::pair<std::string, JsonValue>> members_;  // an array: without names
};

// nullopt: `text` is not a JSON object, or is nested more than 16 deep.
std::optional<JsonValue> parse_json_object(const std::string& text);

}  // namespace knell
