// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// For tests and fuzzing: the values in a JSON line, parsed by RapidJSON, and the values expected
// for an event, formatted without any code of the writer.

#include <knell/knell.h>

// RapidJSON adds offsets to null pointers in comparisons: harmless, and a bug of RapidJSON.
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("pointer-overflow"))), apply_to = function)
#endif
#include <rapidjson/reader.h>
#ifdef __clang__
#pragma clang attribute pop
#endif
#include <sys/wait.h>

#include <cstdio>
#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/signal_names.h"
#include "event/fields.h"
#include "event/mask.h"
#include "event/printable.h"

namespace knell::event {

// Values by path ("killed_by.pid", "args.0"): numbers and literals as written, strings unescaped
// after a `=`.
using Values = std::map<std::string, std::string>;

// (RapidJSON's Document does not compile with clang 19.)
class JsonReading : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, JsonReading> {
 public:
  // Empty: the line is not valid JSON.
  static Values read(const std::string& line) {
    JsonReading reading;
    rapidjson::Reader reader;
    rapidjson::StringStream stream(line.c_str());
    constexpr unsigned kStrictly =
        rapidjson::kParseValidateEncodingFlag | rapidjson::kParseNumbersAsStringsFlag;
    const bool whole = !reader.Parse<kStrictly>(stream, reading).IsError() &&
                       stream.Tell() == line.size() && !reading.twice_;
    return whole ? reading.values_ : Values();
  }

  // The names are RapidJSON's. NOLINTBEGIN(readability-identifier-naming)
  bool Null() { return value("null"); }
  bool Bool(bool yes) { return value(yes ? "true" : "false"); }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return value({text, size}); }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return value("=" + std::string(text, size));
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    levels_.back().name.assign(text, size);
    return true;
  }
  bool StartObject() { return open("{}", false); }
  bool EndObject(rapidjson::SizeType) { return close(); }
  bool StartArray() { return open("[]", true); }
  bool EndArray(rapidjson::SizeType) { return close(); }
  // NOLINTEND(readability-identifier-naming)

 private:
  struct Level {
    std::string front, name;
    bool array;
    size_t next = 0;
  };
  std::string path() {
    Level& level = levels_.back();
    return level.front + (level.array ? std::to_string(level.next++) : level.name);
  }
  bool value(const std::string& text) {
    if (!values_.emplace(path(), text).second) twice_ = true;
    return true;
  }
  bool open(const std::string& what, bool array) {
    std::string front;
    if (!levels_.empty()) {
      front = path() + ".";
      values_.emplace(front, what);
    }
    levels_.push_back({front, "", array});
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }

  Values values_;
  std::vector<Level> levels_;
  bool twice_ = false;  // a key occurs twice in one object
};

// The rows of the table of fields, with values formatted by other code than the writer's.
class JsonExpected {
 public:
  static Values of(const knell_event& e) {
    JsonExpected expected;
    for_each_row<kFields>([&](auto row) {
      constexpr const Field& kField = kFields[row];
      if ((types_of(kField.section) & e.type) == 0 || kField.name.empty()) return;
      const std::string name(kField.name);
      if constexpr (kField.section == Section::kKilledBy) {
        if ((e.has & KNELL_HAS_KILLER) != 0) expected.add<kField>("killed_by." + name, e);
      } else if constexpr (kField.section == Section::kLastSignal) {
        if ((e.has & KNELL_HAS_LAST_SIGNAL) != 0) expected.add<kField>("last_signal." + name, e);
      } else {
        expected.add<kField>(name, e);
      }
    });
    return expected.values_;
  }

 private:
  static std::string boolean(bool yes) { return yes ? "true" : "false"; }
  static std::string named(uint32_t number, const std::vector<std::string>& names) {
    return number >= names.size() || names[number].empty() ? "null" : "=" + names[number];
  }
  // Bytes that are not valid UTF-8 are shown as \xff; the rest is unchanged.
  static std::string visible(std::string_view bytes) {
    std::string out = "=";
    while (!bytes.empty()) {
      const size_t length = utf8_length(bytes);
      char hex[8];
      (void)std::snprintf(hex, sizeof hex, "\\x%02x",
                          static_cast<unsigned>(static_cast<unsigned char>(bytes[0])));
      if (length == 0)
        out += hex;
      else
        out += bytes.substr(0, length);
      bytes.remove_prefix(length == 0 ? 1 : length);
    }
    return out;
  }
  static std::string string(const knell_string& text) {
    return text.data == nullptr ? "null" : visible({text.data, text.size});
  }
  static std::string time(int64_t ns) {
    constexpr int64_t kSecond = 1'000'000'000;
    int64_t fraction = ns % kSecond;
    if (fraction < 0) fraction += kSecond;
    const time_t seconds = ns / kSecond - (ns % kSecond < 0 ? 1 : 0);
    tm date{};
    ::gmtime_r(&seconds, &date);
    char text[64];
    const size_t size = std::strftime(text, sizeof text, "=%Y-%m-%dT%H:%M:%S.", &date);
    (void)std::snprintf(text + size, sizeof text - size, "%09lldZ",
                        static_cast<long long>(fraction));
    return text;
  }
  static std::string id(const knell_id& id) {
    if ((id.kind != KNELL_ID_START && id.kind != KNELL_ID_STAMP) || id.boot == 0) return "null";
    char boot[16];
    (void)std::snprintf(boot, sizeof boot, "=%08x-", id.boot);
    return boot + std::to_string(id.pid) + (id.kind == KNELL_ID_STAMP ? "-x" : "-") +
           std::to_string(id.start);
  }

  void set(const std::string& key, const std::string& value) { values_[key] = value; }

  template <const Field& F>
  void add(const std::string& key, const knell_event& e) {
    using enum Format;
    const auto& value = value_of<F.member>(e);
    const bool known = is_known<F.known>(e);
    if constexpr (F.format == kStatus)
      status(value, known);
    else if (!known)
      set(key, "null");
    else if constexpr (F.is(Member::Kind::kGroup))
      set(key + ".", "{}");
    else if constexpr (F.format == kArgs)
      args(e);
    else if constexpr (F.format == kTypes)
      types(value);
    else
      set(key, text<F>(value));
  }

  template <const Field& F, class T>
  static std::string text(const T& value) {
    using enum Format;
    if constexpr (F.is(Member::Kind::kString)) {
      return string(value);
    } else if constexpr (F.is(Member::Kind::kId)) {
      return id(value);
    } else if constexpr (F.format == kType) {
      return std::string("=") + type_name(value);
    } else if constexpr (F.format == kTime) {
      return time(value);
    } else if constexpr (F.format == kVia) {
      return named(value, {"", "connector", "bpf", "pidfd", "proc", "recording", "", "ptrace"});
    } else if constexpr (F.format == kCause) {
      return named(value, {"", "user", "kernel", "oom"});
    } else if constexpr (F.format == kSignal) {
      const char* const name = signal_name(value);
      return name == nullptr ? "null" : std::string("=") + name;
    } else if constexpr (F.format == kFlag) {
      return boolean((value & F.flag) != 0);
    } else {
      return std::to_string(value);
    }
  }

  void args(const knell_event& e) {
    if (e.args.data == nullptr) return set("args", "null");
    set("args.", "[]");
    size_t i = 0;
    for (knell_string word = knell_next_arg(&e, {nullptr, 0}); word.data != nullptr;
         word = knell_next_arg(&e, word)) {
      set("args." + std::to_string(i++), string(word));
    }
  }

  void status(int status, bool known) {
    const bool exited = known && WIFEXITED(status), signaled = known && WIFSIGNALED(status);
    set("wait_status", known ? std::to_string(status) : "null");
    set("exit_code", exited ? std::to_string(WEXITSTATUS(status)) : "null");
    set("signal", signaled ? std::string("=") + signal_name(WTERMSIG(status)) : "null");
    set("core_dumped", known ? boolean(signaled && WCOREDUMP(status)) : "null");
  }

  void types(uint32_t mask) {
    set("types.", "[]");
    size_t i = 0;
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
      if ((mask & KNELL_EVENT_ALL & bit) != 0)
        set("types." + std::to_string(i++), std::string("=") + type_name(bit));
    }
  }

  Values values_;
};

}  // namespace knell::event
