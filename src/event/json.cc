// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/json.h"

#include <sys/wait.h>

#include <cstdint>
#include <cstring>
#include <string_view>

#include "event/digits.h"
#include "event/id.h"
#include "event/json_text.h"
#include "event/mask.h"
#include "event/signal_names.h"

// On the way of every event that is shown, so it is written for speed. The room is bounded once, by
// json_most(); from there on nothing looks how much is left. Each function takes the place to write
// to and returns the end of what it wrote; keys come with the punctuation around them, as constants
// that the compiler copies in whole registers. What many fields share is a call all the same: a
// listener that was asleep finds none of its code in the caches, so the less of it the better.
namespace knell::event {
namespace {

// All keys, and the longest of all values but strings, are less than 1500 bytes; see json_test.cc.
constexpr size_t kFixedBytes = 1536;

template <size_t N>
[[gnu::always_inline]] inline char* constant(char* out, const char (&text)[N]) {
  std::memcpy(out, text, N - 1);
  return out + N - 1;
}
// What needs no escaping.
[[gnu::noinline]] char* plain(char* out, std::string_view text) {
  *out++ = '"';
  out += text.copy(out, text.size());
  *out++ = '"';
  return out;
}
char* null(char* out) { return constant(out, "null"); }

[[gnu::noinline]] char* string(char* out, const knell_string& text) {
  if (text.data == nullptr) return null(out);
  *out++ = '"';
  out = write_json_text(out, {text.data, text.size});
  *out++ = '"';
  return out;
}
char* number(char* out, bool known, uint64_t value) {
  return known ? write_number(out, value) : null(out);
}
char* boolean(char* out, bool value) {
  return value ? constant(out, "true") : constant(out, "false");
}
[[gnu::noinline]] char* id(char* out, const knell_id& id) {
  *out = '"';
  char* const end = write_id(out + 1, id);
  if (end == out + 1) return null(out);
  *end = '"';
  return end + 1;
}

// "2026-11-23T03:12:01.412000123Z". Days to a date by counting from 1 March 0000, so that the leap
// day is a year's last: 146097 days are 400 years, and months from March on follow (153 m + 2) / 5.
[[gnu::noinline]] char* time(char* out, int64_t ns) {
  constexpr int64_t kSecond = 1'000'000'000, kDay = 86'400;
  int64_t seconds = ns / kSecond, fraction = ns % kSecond;
  if (fraction < 0) fraction += kSecond, seconds--;
  int64_t days = seconds / kDay, second = seconds % kDay;
  if (second < 0) second += kDay, days--;
  const auto since_march_0 = static_cast<uint32_t>(days + 719'468);  // years 1677 to 2262: positive
  const uint32_t era = since_march_0 / 146'097, day_of_era = since_march_0 % 146'097;
  const uint32_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const uint32_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint32_t month = (5 * day_of_year + 2) / 153;  // 0 is March
  const uint32_t day = day_of_year - (153 * month + 2) / 5 + 1;
  const auto clock = static_cast<uint32_t>(second), nanos = static_cast<uint32_t>(fraction);

  *out++ = '"';
  out = write_4_digits(out, era * 400 + year_of_era + (month >= 10 ? 1 : 0));
  *out++ = '-';
  out = write_2_digits(out, month < 10 ? month + 3 : month - 9);
  *out++ = '-';
  out = write_2_digits(out, day);
  *out++ = 'T';
  out = write_2_digits(out, clock / 3'600);
  *out++ = ':';
  out = write_2_digits(out, clock / 60 % 60);
  *out++ = ':';
  out = write_2_digits(out, clock % 60);
  *out++ = '.';
  out = write_1_digit(out, nanos / 100'000'000);
  out = write_8_digits(out, nanos % 100'000'000);
  return constant(out, "Z\"");
}

// The end of every event.
char* via(char* out, uint32_t via) {
  switch (via) {
    case KNELL_VIA_CONNECTOR:
      return constant(out, R"("connector")");
    case KNELL_VIA_BPF:
      return constant(out, R"("bpf")");
    case KNELL_VIA_PIDFD:
      return constant(out, R"("pidfd")");
    case KNELL_VIA_PROC:
      return constant(out, R"("proc")");
    case KNELL_VIA_RECORDING:
      return constant(out, R"("recording")");
    default:
      return null(out);
  }
}

char* cause(char* out, uint32_t cause) {
  switch (cause) {
    case KNELL_CAUSE_USER:
      return constant(out, R"("user")");
    case KNELL_CAUSE_KERNEL:
      return constant(out, R"("kernel")");
    case KNELL_CAUSE_OOM:
      return constant(out, R"("oom")");
    default:
      return null(out);
  }
}

char* front(char* out, const knell_event& e) {
  switch (e.type) {
    case KNELL_EVENT_EXIT:
      out = constant(out, R"({"type":"exit","seq":)");
      break;
    case KNELL_EVENT_FORK:
      out = constant(out, R"({"type":"fork","seq":)");
      break;
    case KNELL_EVENT_EXEC:
      out = constant(out, R"({"type":"exec","seq":)");
      break;
    default:
      out = plain(constant(out, R"({"type":)"), type_name(e.type));
      out = constant(out, R"(,"seq":)");
      break;
  }
  out = write_number(out, e.seq);
  out = time(constant(out, R"(,"time":)"), e.time_ns);
  return write_number(constant(out, R"(,"mono_ns":)"), e.mono_ns);
}

char* args(char* out, const knell_event& e) {
  if (e.args.data == nullptr) return constant(out, R"(,"args":null,"args_truncated":null)");
  std::string_view words(e.args.data, e.args.size);
  if (words.empty()) {
    out = constant(out, R"(,"args":[)");
  } else {
    if (words.back() == '\0') words.remove_suffix(1);
    out = write_json_words(constant(out, R"(,"args":[")"), words);
    *out++ = '"';
  }
  return boolean(constant(out, R"(],"args_truncated":)"),
                 (e.flags & KNELL_FLAG_ARGS_TRUNCATED) != 0);
}

char* process(char* out, const knell_event& e) {
  out = id(constant(out, R"(,"id":)"), e.id);
  out = id(constant(out, R"(,"parent_id":)"), e.parent_id);
  out = write_signed(constant(out, R"(,"pid":)"), e.pid);
  out = write_signed(constant(out, R"(,"tid":)"), e.tid);
  out = write_signed(constant(out, R"(,"ppid":)"), e.ppid);
  out = string(constant(out, R"(,"comm":)"), e.comm);
  out = string(constant(out, R"(,"parent_comm":)"), e.parent_comm);
  out = string(constant(out, R"(,"exe":)"), e.exe);
  out = args(out, e);
  out = string(constant(out, R"(,"cwd":)"), e.cwd);
  out = number(constant(out, R"(,"uid":)"), (e.has & KNELL_HAS_UID) != 0, e.uid);
  out = number(constant(out, R"(,"gid":)"), (e.has & KNELL_HAS_GID) != 0, e.gid);
  out = string(constant(out, R"(,"user":)"), e.user);
  out = string(constant(out, R"(,"cgroup":)"), e.cgroup);
  out = string(constant(out, R"(,"unit":)"), e.unit);
  return string(constant(out, R"(,"container_id":)"), e.container_id);
}

char* status(char* out, const knell_event& e) {
  const int status = e.wait_status;
  if ((e.has & KNELL_HAS_STATUS) == 0) {
    return constant(out,
                    R"(,"wait_status":null,"exit_code":null,"signal":null,"core_dumped":null)");
  }
  out = write_signed(constant(out, R"(,"wait_status":)"), status);
  out = number(constant(out, R"(,"exit_code":)"), WIFEXITED(status),
               static_cast<uint64_t>(WEXITSTATUS(status)));
  if (!WIFSIGNALED(status)) return constant(out, R"(,"signal":null,"core_dumped":false)");
  out = plain(constant(out, R"(,"signal":)"), signal_name(WTERMSIG(status)));
  return boolean(constant(out, R"(,"core_dumped":)"), WCOREDUMP(status));
}

[[gnu::noinline]] char* killed_by(char* out, const knell_event& e) {
  if ((e.has & KNELL_HAS_KILLER) == 0) return constant(out, R"(,"killed_by":null)");
  const auto& killer = e.killed_by;
  out = write_signed(constant(out, R"(,"killed_by":{"pid":)"), killer.pid);
  out = string(constant(out, R"(,"comm":)"), killer.comm);
  out = number(constant(out, R"(,"uid":)"), killer.pid != 0, killer.uid);
  out = cause(constant(out, R"(,"cause":)"), killer.cause);
  out = constant(out, R"(,"parent_pid":)");
  out = killer.parent_pid != 0 ? write_signed(out, killer.parent_pid) : null(out);
  out = string(constant(out, R"(,"parent_comm":)"), killer.parent_comm);
  out = string(constant(out, R"(,"unit":)"), killer.unit);
  out = string(constant(out, R"(,"memory_cgroup":)"), killer.memory_cgroup);
  *out++ = '}';
  return out;
}

[[gnu::noinline]] char* last_signal(char* out, const knell_event& e) {
  if ((e.has & KNELL_HAS_LAST_SIGNAL) == 0) return constant(out, R"(,"last_signal":null)");
  const auto& last = e.last_signal;
  out = constant(out, R"(,"last_signal":{"signal":)");
  const char* const name = signal_name(last.signal);
  out = name != nullptr ? plain(out, name) : null(out);
  out = write_signed(constant(out, R"(,"pid":)"), last.pid);
  out = string(constant(out, R"(,"comm":)"), last.comm);
  out = number(constant(out, R"(,"uid":)"), last.pid != 0, last.uid);
  out = string(constant(out, R"(,"parent_comm":)"), last.parent_comm);
  out = write_number(constant(out, R"(,"ago_ns":)"), last.ago_ns);
  *out++ = '}';
  return out;
}

char* exit(char* out, const knell_event& e) {
  out = status(out, e);
  out = (e.has & (KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL)) == 0
            ? constant(out, R"(,"killed_by":null,"last_signal":null)")
            : last_signal(killed_by(out, e), e);
  return number(constant(out, R"(,"duration_ns":)"), (e.has & KNELL_HAS_DURATION) != 0,
                e.duration_ns);
}

char* fields_of_type(char* out, const knell_event& e) {
  switch (e.type) {
    case KNELL_EVENT_EXIT:
      return exit(out, e);
    case KNELL_EVENT_FORK:
      out = id(constant(out, R"(,"child_id":)"), e.child_id);
      out = write_signed(constant(out, R"(,"child_pid":)"), e.child_pid);
      return write_signed(constant(out, R"(,"child_tid":)"), e.child_tid);
    case KNELL_EVENT_UID:
      out = write_number(constant(out, R"(,"ruid":)"), e.ruid);
      return write_number(constant(out, R"(,"euid":)"), e.euid);
    case KNELL_EVENT_GID:
      out = write_number(constant(out, R"(,"rgid":)"), e.ruid);
      return write_number(constant(out, R"(,"egid":)"), e.euid);
    case KNELL_EVENT_PTRACE:
      return write_signed(constant(out, R"(,"tracer_pid":)"), e.tracer_pid);
    case KNELL_EVENT_COMM:
      return string(constant(out, R"(,"new_comm":)"), e.new_comm);
    default:
      return out;
  }
}

char* lost(char* out, const knell_event& e) {
  out = via(constant(out, R"(,"via":)"), e.via);
  out = number(constant(out, R"(,"count":)"), (e.has & KNELL_HAS_COUNT) != 0, e.lost_count);
  out = boolean(constant(out, R"(,"exact":)"), (e.flags & KNELL_FLAG_EXACT) != 0);
  out = constant(out, R"(,"types":[)");
  for (uint32_t rest = e.lost_types & KNELL_EVENT_ALL; rest != 0;) {
    const uint32_t one = rest & (~rest + 1);
    out = plain(out, type_name(one));
    rest -= one;
    if (rest != 0) *out++ = ',';
  }
  out = time(constant(out, R"(],"from":)"), e.lost_from_time_ns);
  out = time(constant(out, R"(,"until":)"), e.lost_until_time_ns);
  *out++ = '}';
  return out;
}

}  // namespace

size_t json_most(const knell_event& e) {
  // One string more than there are fields has its two quotes in kFixedBytes; args take another byte
  // a word than kMostEscape times their NUL.
  size_t bytes = kSpareText;
  for (const knell_string* text :
       {&e.comm, &e.parent_comm, &e.exe, &e.cwd, &e.args, &e.user, &e.cgroup, &e.unit,
        &e.container_id, &e.killed_by.comm, &e.killed_by.parent_comm, &e.killed_by.unit,
        &e.killed_by.memory_cgroup, &e.last_signal.comm, &e.last_signal.parent_comm, &e.new_comm}) {
    if (text->data != nullptr) bytes += text->size;
  }
  return kFixedBytes + kMostEscape * bytes;
}

char* write_json(char* out, const knell_event& event) {
  out = front(out, event);
  if (event.type == KNELL_EVENT_LOST) return lost(out, event);
  out = process(out, event);
  out = fields_of_type(out, event);
  out = boolean(constant(out, R"(,"recovered":)"), (event.flags & KNELL_FLAG_RECOVERED) != 0);
  out = via(constant(out, R"(,"via":)"), event.via);
  *out++ = '}';
  return out;
}

void append_json(std::string& out, const knell_event& event) {
  const size_t before = out.size();
  out.resize_and_overwrite(before + json_most(event), [&](char* data, size_t) {
    return static_cast<size_t>(write_json(data + before, event) - data);
  });
}

}  // namespace knell::event
