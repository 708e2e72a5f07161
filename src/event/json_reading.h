// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// For tests and fuzzing: what a JSON line says, as RapidJSON reads it, and what it should say of an
// event, made with nothing of the writer.

#include <knell/knell.h>

// RapidJSON adds to null pointers where it compares them with null ones: harmless, and no finding
// of ours.
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

#include "event/mask.h"
#include "event/printable.h"
#include "event/signal_names.h"

namespace knell::event {

// Values by path ("killed_by.pid", "args.0"): numbers and literals as they stand, strings unescaped
// after a `=`.
using Values = std::map<std::string, std::string>;

// (RapidJSON's Document does not compile with clang 19.)
class JsonReading : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, JsonReading> {
 public:
  // No values: the line is no JSON.
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
  bool twice_ = false;  // a key
};

class JsonExpected {
 public:
  static Values of(const knell_event& e) {
    JsonExpected expected;
    expected.stamp(e);
    if (e.type == KNELL_EVENT_LOST) {
      expected.lost(e);
    } else {
      expected.process(e);
      expected.fields_of_type(e);
      expected.set("recovered", boolean((e.flags & KNELL_FLAG_RECOVERED) != 0));
    }
    expected.set("via", named(e.via, {"", "connector", "bpf", "pidfd", "proc", "recording"}));
    return expected.values_;
  }

 private:
  static std::string boolean(bool yes) { return yes ? "true" : "false"; }
  static std::string named(uint32_t number, const std::vector<std::string>& names) {
    return number == 0 || number >= names.size() ? "null" : "=" + names[number];
  }
  // What is no UTF-8 is visible; the rest is as it was.
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
  template <class T>
  void number(const std::string& key, T value, bool known = true) {
    set(key, known ? std::to_string(value) : "null");
  }

  void stamp(const knell_event& e) {
    set("type", std::string("=") + type_name(e.type));
    number("seq", e.seq);
    set("time", time(e.time_ns));
    number("mono_ns", e.mono_ns);
  }

  void args(const knell_event& e) {
    set("args_truncated", boolean((e.flags & KNELL_FLAG_ARGS_TRUNCATED) != 0));
    if (e.args.data == nullptr) {
      set("args", "null");
      set("args_truncated", "null");
      return;
    }
    set("args.", "[]");
    size_t i = 0;
    for (knell_string word = knell_next_arg(&e, {nullptr, 0}); word.data != nullptr;
         word = knell_next_arg(&e, word)) {
      set("args." + std::to_string(i++), string(word));
    }
  }

  void process(const knell_event& e) {
    set("id", id(e.id));
    set("parent_id", id(e.parent_id));
    number("pid", e.pid);
    number("tid", e.tid);
    number("ppid", e.ppid);
    set("comm", string(e.comm));
    set("parent_comm", string(e.parent_comm));
    set("exe", string(e.exe));
    args(e);
    set("cwd", string(e.cwd));
    number("uid", e.uid, (e.has & KNELL_HAS_UID) != 0);
    number("gid", e.gid, (e.has & KNELL_HAS_GID) != 0);
    set("user", string(e.user));
    set("cgroup", string(e.cgroup));
    set("unit", string(e.unit));
    set("container_id", string(e.container_id));
  }

  void exit(const knell_event& e) {
    const bool known = (e.has & KNELL_HAS_STATUS) != 0;
    const bool signaled = known && WIFSIGNALED(e.wait_status);
    number("wait_status", e.wait_status, known);
    number("exit_code", WEXITSTATUS(e.wait_status), known && WIFEXITED(e.wait_status));
    set("signal", signaled ? std::string("=") + signal_name(WTERMSIG(e.wait_status)) : "null");
    set("core_dumped", known ? boolean(signaled && WCOREDUMP(e.wait_status)) : "null");
    number("duration_ns", e.duration_ns, (e.has & KNELL_HAS_DURATION) != 0);
    killed_by(e);
    last_signal(e);
  }

  void killed_by(const knell_event& e) {
    if ((e.has & KNELL_HAS_KILLER) == 0) return set("killed_by", "null");
    set("killed_by.", "{}");
    number("killed_by.pid", e.killed_by.pid);
    number("killed_by.uid", e.killed_by.uid, e.killed_by.pid != 0);
    set("killed_by.comm", string(e.killed_by.comm));
    set("killed_by.cause", named(e.killed_by.cause, {"", "user", "kernel", "oom"}));
    number("killed_by.parent_pid", e.killed_by.parent_pid, e.killed_by.parent_pid != 0);
    set("killed_by.parent_comm", string(e.killed_by.parent_comm));
    set("killed_by.unit", string(e.killed_by.unit));
    set("killed_by.memory_cgroup", string(e.killed_by.memory_cgroup));
  }

  void last_signal(const knell_event& e) {
    if ((e.has & KNELL_HAS_LAST_SIGNAL) == 0) return set("last_signal", "null");
    set("last_signal.", "{}");
    const char* const name = signal_name(e.last_signal.signal);
    set("last_signal.signal", name == nullptr ? "null" : std::string("=") + name);
    number("last_signal.pid", e.last_signal.pid);
    number("last_signal.uid", e.last_signal.uid, e.last_signal.pid != 0);
    set("last_signal.comm", string(e.last_signal.comm));
    set("last_signal.parent_comm", string(e.last_signal.parent_comm));
    number("last_signal.ago_ns", e.last_signal.ago_ns);
  }

  void fields_of_type(const knell_event& e) {
    if (e.type == KNELL_EVENT_EXIT) exit(e);
    if (e.type == KNELL_EVENT_PTRACE) number("tracer_pid", e.tracer_pid);
    if (e.type == KNELL_EVENT_COMM) set("new_comm", string(e.new_comm));
    if (e.type == KNELL_EVENT_FORK) {
      set("child_id", id(e.child_id));
      number("child_pid", e.child_pid);
      number("child_tid", e.child_tid);
    }
    if (e.type == KNELL_EVENT_UID || e.type == KNELL_EVENT_GID) {
      number(e.type == KNELL_EVENT_UID ? "ruid" : "rgid", e.ruid);
      number(e.type == KNELL_EVENT_UID ? "euid" : "egid", e.euid);
    }
  }

  void lost(const knell_event& e) {
    number("count", e.lost_count, (e.has & KNELL_HAS_COUNT) != 0);
    set("exact", boolean((e.flags & KNELL_FLAG_EXACT) != 0));
    set("types.", "[]");
    size_t i = 0;
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
      if ((e.lost_types & KNELL_EVENT_ALL & bit) != 0)
        set("types." + std::to_string(i++), std::string("=") + type_name(bit));
    }
    set("from", time(e.lost_from_time_ns));
    set("until", time(e.lost_until_time_ns));
  }

  Values values_;
};

}  // namespace knell::event
