// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/json.h"

// RapidJSON adds to null pointers where it compares them with null ones: harmless, and no finding
// of ours.
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("pointer-overflow"))), apply_to = function)
#endif
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#ifdef __clang__
#pragma clang attribute pop
#endif
#include <sys/wait.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "event/id.h"
#include "event/mask.h"
#include "event/printable.h"
#include "event/signal_names.h"

// On the way of every event that is shown, so it is written for speed: RapidJSON keeps commas,
// colons and nesting right, while strings and keys go into its buffer in runs and not byte by byte.
// The buffer is one per thread and keeps its memory.
namespace knell::event {
namespace {

constexpr size_t kKeepBytes = size_t{1}
                              << 20;  // a buffer grown past this by one huge event is given back

constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t c = 0x20; c < 0x7f; c++) plain[c] = c != '"' && c != '\\';
  return plain;
}();

class Writer : public rapidjson::Writer<rapidjson::StringBuffer> {
 public:
  using Base = rapidjson::Writer<rapidjson::StringBuffer>;
  using Base::Base;

  // `name` is one of ours: nothing in it needs escaping.
  void key(std::string_view name) {
    Prefix(rapidjson::kStringType);
    char* p = os_->Push(name.size() + 2);
    *p = '"';
    std::memcpy(p + 1, name.data(), name.size());
    p[name.size() + 1] = '"';
  }
  void plain(std::string_view text) { key(text); }
  void plain_or_null(const char* text) {
    if (text == nullptr) {
      Null();
    } else {
      plain(text);
    }
  }

  void text(std::string_view bytes) {
    Prefix(rapidjson::kStringType);
    os_->Put('"');
    while (!bytes.empty()) {
      size_t run = 0;
      while (run < bytes.size() && kPlain[static_cast<uint8_t>(bytes[run])]) run++;
      append(bytes.substr(0, run));
      bytes.remove_prefix(run);
      if (!bytes.empty()) bytes.remove_prefix(special(bytes));
    }
    os_->Put('"');
  }
  void text(const knell_string& string) {
    if (string.data == nullptr) {
      Null();
    } else {
      text(std::string_view(string.data, string.size));
    }
  }

 private:
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(os_->Push(bytes.size()), bytes.data(), bytes.size());
  }

  // The character at the front that cannot stand as it is; returns its bytes.
  size_t special(std::string_view bytes) {
    constexpr char kHex[] = "0123456789abcdef";
    const auto first = static_cast<uint8_t>(bytes[0]);
    const size_t length = utf8_length(bytes);
    if (length == 0) {
      const char escaped[] = {'\\', '\\', 'x', kHex[first >> 4], kHex[first & 0xf]};
      append({escaped, sizeof escaped});
      return 1;
    }
    const std::string_view character = bytes.substr(0, length);
    if (first == '"' || first == '\\') {
      os_->Put('\\');
      append(character);
    } else if (first == '\n' || first == '\t') {
      append(first == '\n' ? "\\n" : "\\t");
    } else if (steers_terminal(character)) {
      const uint32_t code = code_point(character);
      const char escaped[] = {'\\',
                              'u',
                              kHex[code >> 12 & 0xf],
                              kHex[code >> 8 & 0xf],
                              kHex[code >> 4 & 0xf],
                              kHex[code & 0xf]};
      append({escaped, sizeof escaped});
    } else {
      append(character);
    }
    return length;
  }

  // Of a well-formed character that steers, so of 1 to 3 bytes.
  static uint32_t code_point(std::string_view c) {
    const auto byte = [c](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(c[i])); };
    if (c.size() == 1) return byte(0);
    if (c.size() == 2) return (byte(0) & 0x1f) << 6 | (byte(1) & 0x3f);
    return (byte(0) & 0xf) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  }
};

void digits(char*& p, uint64_t value, int count) {
  for (int i = count - 1; i >= 0; i--, value /= 10) p[i] = static_cast<char>('0' + value % 10);
  p += count;
}

// "2026-11-23T03:12:01.412000123Z". Days to a date by counting from 1 March 0000, so that the leap
// day is a year's last: 146097 days are 400 years, and months from March on follow (153 m + 2) / 5.
void write_time(Writer& w, int64_t ns) {
  constexpr int64_t kSecond = 1'000'000'000, kDay = 86'400;
  int64_t seconds = ns / kSecond, fraction = ns % kSecond;
  if (fraction < 0) fraction += kSecond, seconds--;
  int64_t days = seconds / kDay, second = seconds % kDay;
  if (second < 0) second += kDay, days--;
  const auto since_march_0 = static_cast<uint64_t>(days + 719'468);  // years 1677 to 2262: positive
  const uint64_t era = since_march_0 / 146'097, day_of_era = since_march_0 % 146'097;
  const uint64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const uint64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t month = (5 * day_of_year + 2) / 153;  // 0 is March
  const uint64_t day = day_of_year - (153 * month + 2) / 5 + 1;
  const auto clock = static_cast<uint64_t>(second);

  char text[30];
  char* p = text;
  digits(p, era * 400 + year_of_era + (month >= 10 ? 1 : 0), 4);
  *p++ = '-';
  digits(p, month < 10 ? month + 3 : month - 9, 2);
  *p++ = '-';
  digits(p, day, 2);
  *p++ = 'T';
  digits(p, clock / 3'600, 2);
  *p++ = ':';
  digits(p, clock / 60 % 60, 2);
  *p++ = ':';
  digits(p, clock % 60, 2);
  *p++ = '.';
  digits(p, static_cast<uint64_t>(fraction), 9);
  *p++ = 'Z';
  w.plain({text, sizeof text});
}

void write_id(Writer& w, const knell_id& id) {
  const IdText text = id_text(id);
  if (text.size == 0) {
    w.Null();
  } else {
    w.plain(text.view());
  }
}

void write_unsigned(Writer& w, bool known, uint64_t value) {
  if (known) {
    w.Uint64(value);
  } else {
    w.Null();
  }
}

const char* via_name(uint32_t via) {
  switch (via) {
    case KNELL_VIA_CONNECTOR:
      return "connector";
    case KNELL_VIA_BPF:
      return "bpf";
    case KNELL_VIA_PIDFD:
      return "pidfd";
    case KNELL_VIA_PROC:
      return "proc";
    case KNELL_VIA_RECORDING:
      return "recording";
    default:
      return nullptr;
  }
}

const char* cause_name(uint32_t cause) {
  switch (cause) {
    case KNELL_CAUSE_USER:
      return "user";
    case KNELL_CAUSE_KERNEL:
      return "kernel";
    case KNELL_CAUSE_OOM:
      return "oom";
    default:
      return nullptr;
  }
}

void write_stamp(Writer& w, const knell_event& e) {
  w.key("type"), w.plain(type_name(e.type));
  w.key("seq"), w.Uint64(e.seq);
  w.key("time"), write_time(w, e.time_ns);
  w.key("mono_ns"), w.Uint64(e.mono_ns);
}

void write_args(Writer& w, const knell_event& e) {
  w.key("args");
  if (e.args.data == nullptr) {
    w.Null();
    w.key("args_truncated"), w.Null();
    return;
  }
  w.StartArray();
  for (knell_string word = knell_next_arg(&e, {nullptr, 0}); word.data != nullptr;
       word = knell_next_arg(&e, word)) {
    w.text(word);
  }
  w.EndArray();
  w.key("args_truncated"), w.Bool((e.flags & KNELL_FLAG_ARGS_TRUNCATED) != 0);
}

void write_process(Writer& w, const knell_event& e) {
  w.key("id"), write_id(w, e.id);
  w.key("parent_id"), write_id(w, e.parent_id);
  w.key("pid"), w.Int(e.pid);
  w.key("tid"), w.Int(e.tid);
  w.key("ppid"), w.Int(e.ppid);
  w.key("comm"), w.text(e.comm);
  w.key("parent_comm"), w.text(e.parent_comm);
  w.key("exe"), w.text(e.exe);
  write_args(w, e);
  w.key("cwd"), w.text(e.cwd);
  w.key("uid"), write_unsigned(w, (e.has & KNELL_HAS_UID) != 0, e.uid);
  w.key("gid"), write_unsigned(w, (e.has & KNELL_HAS_GID) != 0, e.gid);
  w.key("user"), w.text(e.user);
  w.key("cgroup"), w.text(e.cgroup);
  w.key("unit"), w.text(e.unit);
  w.key("container_id"), w.text(e.container_id);
}

void write_status(Writer& w, const knell_event& e) {
  const int status = e.wait_status;
  const bool known = (e.has & KNELL_HAS_STATUS) != 0;
  const bool signaled = known && WIFSIGNALED(status);
  w.key("wait_status");
  if (known) {
    w.Int(status);
  } else {
    w.Null();
  }
  w.key("exit_code"),
      write_unsigned(w, known && WIFEXITED(status), static_cast<uint64_t>(WEXITSTATUS(status)));
  w.key("signal"), w.plain_or_null(signaled ? signal_name(WTERMSIG(status)) : nullptr);
  w.key("core_dumped");
  if (known) {
    w.Bool(signaled && WCOREDUMP(status));
  } else {
    w.Null();
  }
}

void write_exit(Writer& w, const knell_event& e) {
  write_status(w, e);
  w.key("killed_by");
  if ((e.has & KNELL_HAS_KILLER) == 0) {
    w.Null();
  } else {
    w.StartObject();
    w.key("pid"), w.Int(e.killed_by.pid);
    w.key("comm"), w.text(e.killed_by.comm);
    w.key("uid"), w.Uint(e.killed_by.uid);
    w.key("cause"), w.plain_or_null(cause_name(e.killed_by.cause));
    w.EndObject();
  }
  w.key("duration_ns"), write_unsigned(w, (e.has & KNELL_HAS_DURATION) != 0, e.duration_ns);
}

void write_type(Writer& w, const knell_event& e) {
  switch (e.type) {
    case KNELL_EVENT_EXIT:
      write_exit(w, e);
      break;
    case KNELL_EVENT_FORK:
      w.key("child_id"), write_id(w, e.child_id);
      w.key("child_pid"), w.Int(e.child_pid);
      w.key("child_tid"), w.Int(e.child_tid);
      break;
    case KNELL_EVENT_UID:
    case KNELL_EVENT_GID:
      w.key(e.type == KNELL_EVENT_UID ? "ruid" : "rgid"), w.Uint(e.ruid);
      w.key(e.type == KNELL_EVENT_UID ? "euid" : "egid"), w.Uint(e.euid);
      break;
    case KNELL_EVENT_PTRACE:
      w.key("tracer_pid"), w.Int(e.tracer_pid);
      break;
    case KNELL_EVENT_COMM:
      w.key("new_comm"), w.text(e.new_comm);
      break;
    default:
      break;
  }
}

void write_lost(Writer& w, const knell_event& e) {
  w.key("via"), w.plain_or_null(via_name(e.via));
  w.key("count"), write_unsigned(w, (e.has & KNELL_HAS_COUNT) != 0, e.lost_count);
  w.key("exact"), w.Bool((e.flags & KNELL_FLAG_EXACT) != 0);
  w.key("types");
  w.StartArray();
  for (uint32_t rest = e.lost_types & KNELL_EVENT_ALL; rest != 0; rest &= rest - 1) {
    w.plain(type_name(rest & (~rest + 1)));
  }
  w.EndArray();
  w.key("from"), write_time(w, e.lost_from_time_ns);
  w.key("until"), write_time(w, e.lost_until_time_ns);
}

[[gnu::noinline]] void write_event(Writer& w, const knell_event& event) {
  w.StartObject();
  write_stamp(w, event);
  if (event.type == KNELL_EVENT_LOST) {
    write_lost(w, event);
  } else {
    write_process(w, event);
    write_type(w, event);
    w.key("recovered"), w.Bool((event.flags & KNELL_FLAG_RECOVERED) != 0);
    w.key("via"), w.plain_or_null(via_name(event.via));
  }
  w.EndObject();
}

}  // namespace

void append_json(std::string& out, const knell_event& event) {
  // By pointer from here on: each mention of a thread_local is a call in a shared library. The
  // compiler must not see where the pointer comes from, or it puts the calls in again.
  struct Room {
    rapidjson::StringBuffer buffer{nullptr, 4096};
    Writer writer{buffer};
  };
  thread_local Room room;
  rapidjson::StringBuffer& buffer = room.buffer;
  buffer.Clear();
  Writer* writer = &room.writer;
  asm("" : "+r"(writer));
  writer->Reset(buffer);
  write_event(*writer, event);
  out.append(buffer.GetString(), buffer.GetSize());
  if (buffer.GetSize() > kKeepBytes) {
    buffer.Clear();
    buffer.ShrinkToFit();
  }
}

}  // namespace knell::event
