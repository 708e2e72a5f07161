// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knell::cli {

// A value of a JSON text, read without surprises: what is missing, or of another kind than asked
// for, is nothing. Of another version of the daemon much may be.
class JsonValue {
 public:
  enum class Kind { kNull, kTrue, kFalse, kNumber, kString, kArray, kObject };

  const JsonValue& operator[](std::string_view key) const;
  std::string text() const { return kind_ == Kind::kString ? text_ : ""; }
  std::optional<uint64_t> number() const;  // a whole one
  uint64_t count() const { return number().value_or(0); }
  std::optional<double> real() const;
  bool is_object() const { return kind_ == Kind::kObject; }
  bool is_true() const { return kind_ == Kind::kTrue; }
  // Of an array.
  std::vector<const JsonValue*> items() const;

 private:
  friend class JsonBuilder;
  Kind kind_ = Kind::kNull;
  std::string text_;                                        // of a string or number
  std::vector<std::pair<std::string, JsonValue>> members_;  // of an array without names
};

// nullopt: it is no JSON object, or nested deeper than anything the daemon tells.
std::optional<JsonValue> parse_json_object(const std::string& text);

}  // namespace knell::cli
