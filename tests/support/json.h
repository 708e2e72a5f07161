// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace knell::test {

// A field of an event as `-o json` prints it.
struct JsonValue {
  enum class Kind { kNull, kBool, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  std::string text;                // a string's content; a number or bool as it was written
  std::vector<std::string> words;  // the strings of an array

  // The value as a number; nullopt: it is not a whole number.
  std::optional<long> number() const;
};

using JsonObject = std::map<std::string, JsonValue>;

// The fields of one object, which must be all of `line` and valid UTF-8; nullopt otherwise. The
// content of nested objects is checked and left out.
std::optional<JsonObject> parse_json(const std::string& line);

}  // namespace knell::test
