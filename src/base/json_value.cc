// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// RapidJSON does arithmetic on null pointers when it compares them: harmless, so the
// sanitizer's check is off.
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("pointer-overflow"))), apply_to = function)
#endif
#include <rapidjson/reader.h>
#ifdef __clang__
#pragma clang attribute pop
#endif

#include <charconv>

#include "base/json_value.h"

namespace knell {

const JsonValue& JsonValue::operator[](std::string_view key) const {
  static const JsonValue nothing;
  if (kind_ != Kind::kObject) return nothing;
  for (const auto& [name, value] : members_) {
    if (name == key) return value;
  }
  return nothing;
}

std::optional<uint64_t> JsonValue::number() const {
  uint64_t value = 0;
  const char* const end = text_.data() + text_.size();
  if (kind_ != Kind::kNumber) return std::nullopt;
  const auto [stopped, error] = std::from_chars(text_.data(), end, value);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return value;
}

std::optional<double> JsonValue::real() const {
  double value = 0;
  if (kind_ != Kind::kNumber) return std::nullopt;
  const auto [stopped, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::vector<const JsonValue*> JsonValue::items() const {
  std::vector<const JsonValue*> out;
  if (kind_ != Kind::kArray) return out;
  for (const auto& [name, value] : members_) out.push_back(&value);
  return out;
}

// The callbacks of RapidJSON's reader, which sets their names.
class JsonBuilder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, JsonBuilder> {
 public:
  explicit JsonBuilder(JsonValue& root) : root_(root) {}

  // NOLINTBEGIN(readability-identifier-naming)
  bool Null() { return add(JsonValue::Kind::kNull); }
  bool Bool(bool value) { return add(value ? JsonValue::Kind::kTrue : JsonValue::Kind::kFalse); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return add(JsonValue::Kind::kNumber, {text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return add(JsonValue::Kind::kString, {text, size});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    key_.assign(text, size);
    return true;
  }
  bool StartObject() { return open(JsonValue::Kind::kObject); }
  bool StartArray() { return open(JsonValue::Kind::kArray); }
  bool EndObject(rapidjson::SizeType) { return close(); }
  bool EndArray(rapidjson::SizeType) { return close(); }
  // NOLINTEND(readability-identifier-naming)

 private:
  static constexpr size_t kMostDepth = 16;  // a status of the daemon has three levels

  JsonValue* place() {
    if (open_.empty()) return &root_;
    // An open value is the last element of its parent, so no pointer in open_ becomes invalid.
    return &open_.back()->members_.emplace_back(std::exchange(key_, {}), JsonValue()).second;
  }
  bool add(JsonValue::Kind kind, std::string_view text = {}) {
    JsonValue* const value = place();
    value->kind_ = kind;
    value->text_ = text;
    return true;
  }
  bool open(JsonValue::Kind kind) {
    if (open_.size() == kMostDepth) return false;
    JsonValue* const value = place();
    value->kind_ = kind;
    open_.push_back(value);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  JsonValue& root_;
  std::vector<JsonValue*> open_;
  std::string key_;
};

std::optional<JsonValue> parse_json_object(const std::string& text) {
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  JsonValue root;
  JsonBuilder builder(root);
  rapidjson::Reader reader;
  rapidjson::StringStream stream(text.c_str());
  if (reader.Parse<kFlags>(stream, builder).IsError()) return std::nullopt;
  if (!root.is_object()) return std::nullopt;
  return root;
}

}  // namespace knell
