// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// RapidJSON's reader, not its document: clang 19 does not compile the latter as Debian 12 has it.
#include "support/json.h"

#include <rapidjson/reader.h>

#include <charconv>

namespace knell::test {

namespace {

using Kind = JsonValue::Kind;

class Fields : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Fields> {
 public:
  JsonObject fields;

  bool Null() { return put(Kind::kNull, ""); }
  bool Bool(bool value) { return put(Kind::kBool, value ? "true" : "false"); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return put(Kind::kNumber, {text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return put(Kind::kString, {text, size});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (depth_ == 1) key_.assign(text, size);
    return depth_ > 1 || !fields.contains(key_);  // a name that occurs twice is an error
  }
  bool StartObject() { return open(Kind::kObject); }
  bool EndObject(rapidjson::SizeType) { return --depth_ >= 0; }
  // The outermost value must be an object
  bool StartArray() { return depth_ > 0 && open(Kind::kArray); }
  bool EndArray(rapidjson::SizeType) { return --depth_ >= 0; }

 private:
  bool put(Kind kind, std::string text) {
    if (depth_ == 0) return false;
    if (depth_ == 1) fields[key_] = {kind, std::move(text), {}};
    if (depth_ == 2 && fields[key_].kind == Kind::kArray)
      fields[key_].words.push_back(std::move(text));
    return true;
  }
  bool open(Kind kind) {
    if (depth_ == 1) fields[key_] = {kind, {}, {}};
    depth_++;
    return true;
  }

  int depth_ = 0;
  std::string key_;
};

}  // namespace

std::optional<long> JsonValue::number() const {
  long value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (kind != Kind::kNumber || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<JsonObject> parse_json(const std::string& line) {
  constexpr unsigned kFlags =
      rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
  Fields handler;
  rapidjson::Reader reader;
  rapidjson::StringStream stream(line.c_str());
  if (reader.Parse<kFlags>(stream, handler).IsError()) return std::nullopt;
  return std::move(handler.fields);
}

}  // namespace knell::test
