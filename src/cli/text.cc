// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <clocale>
#include <csignal>
#include <ctime>
#include <cwchar>
#include <vector>

#include "base/duration.h"

namespace knell::cli {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

// The first character of `text` and its size in bytes. A byte that is not UTF-8 counts as a
// character of one column.
struct Character {
  char32_t code;
  size_t bytes;
};

Character front(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const size_t size = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (size == 0 || size > text.size()) return {U'?', 1};
  if (size == 1) return {lead, 1};
  char32_t code = lead & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {U'?', 1};
    code = (code << 6) | (byte(i) & 0x3f);
  }
  return {code, size};
}

size_t width_of(char32_t code) {
  if (code < 0x80) return 1;
  // wcwidth() needs a UTF-8 locale; glibc always has this one.
  static const bool utf8 = std::setlocale(LC_CTYPE, "C.UTF-8") != nullptr;
  const int width = utf8 ? ::wcwidth(static_cast<wchar_t>(code)) : 1;
  return width < 0 ? 1 : static_cast<size_t>(width);
}

// The timestamps of a listener's events come in order, so caching the last second avoids nearly all
// calls of localtime_r(3).
const std::tm& local_time(int64_t seconds) {
  static int64_t last = INT64_MIN;
  static std::tm broken_down{};
  if (seconds != last) {
    const time_t t = seconds;
    ::localtime_r(&t, &broken_down);
    last = seconds;
  }
  return broken_down;
}

std::pair<int64_t, int64_t> split(int64_t time_ns) {
  int64_t seconds = time_ns / kSecondNs;
  int64_t rest = time_ns % kSecondNs;
  if (rest < 0) {
    rest += kSecondNs;
    --seconds;
  }
  return {seconds, rest};
}

bool plain(std::string_view word) {
  return !word.empty() &&
         word.find_first_of(" \t\"'\\$`;&|<>()*?[]#~!{}") == std::string_view::npos;
}

// Quotes an argument in one of two ways, so that pasting the line into a shell runs only the
// command that it shows. Printable bytes are put unchanged between '...'. All others are put
// between $'...', where \x1b is one byte and \\ a backslash, so that a control byte differs from
// the same characters typed literally.
void append_quoted(std::string& out, std::string_view bytes) {
  const bool safe = knell::printable(bytes) == bytes;
  out += safe ? "'" : "$'";
  while (!bytes.empty()) {
    const size_t plain_bytes = std::min(bytes.find_first_of("'\\"), bytes.size());
    out += knell::printable(bytes.substr(0, plain_bytes));
    bytes.remove_prefix(plain_bytes);
    if (bytes.empty()) break;
    const bool quote = bytes.front() == '\'';
    if (safe)
      out += quote ? "'\\''" : "\\";  // ends the quotes, adds a quote, opens them again
    else
      out += quote ? "\\'" : "\\\\";
    bytes.remove_prefix(1);
  }
  out += '\'';
}

std::string quoted(std::string_view bytes) {
  std::string out;
  append_quoted(out, bytes);
  return out;
}

void append_word(std::string& out, std::string_view word) {
  if (plain(word) && knell::printable(word) == word)
    out += word;
  else
    append_quoted(out, word);
}

// A title is shown without quotes, unless a shell would execute a part of it.
std::string title_text(std::string_view title) {
  title = title.substr(0, title.find_last_not_of(' ') + 1);
  const bool bare = title.find_first_of("$`;&|<>") == std::string_view::npos;
  return bare ? name_text(title) : quoted(title);
}

// Whether the arguments are a title that the process wrote over them: one word with blanks.
bool is_title(const std::vector<std::string_view>& words) {
  return words.size() == 1 && words.front().find(' ') != std::string_view::npos;
}

std::string ids_text(std::string_view name, uint32_t real, uint32_t effective) {
  std::string out = fmt::format("{} {}", name, real);
  if (effective != real) out += fmt::format(" (effective {})", effective);
  return out;
}

}  // namespace

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const Character c = front(text);
    width += width_of(c.code);
    text.remove_prefix(c.bytes);
  }
  return width;
}

std::string cut(std::string_view text, size_t columns) {
  size_t width = 0;
  size_t fits = 0;  // bytes that leave one column for the `…`
  for (size_t at = 0; at < text.size();) {
    const Character c = front(text.substr(at));
    width += width_of(c.code);
    if (width > columns)
      return columns == 0 ? std::string() : std::string(text.substr(0, fits)) + "…";
    at += c.bytes;
    if (width < columns) fits = at;
  }
  return std::string(text);
}

size_t line_break(std::string_view text, size_t columns) {
  size_t width = 0;
  size_t blank = 0;
  for (size_t at = 0; at < text.size();) {
    const Character c = front(text.substr(at));
    if (c.code == U' ') blank = at;
    width += width_of(c.code);
    if (width > columns && at != 0) return blank != 0 ? blank : at;
    at += c.bytes;
  }
  return text.size();
}

void append_padded(std::string& out, std::string_view text, size_t columns) {
  out += text;
  const size_t width = display_width(text);
  if (width < columns) out.append(columns - width, ' ');
}

std::string clock_text(int64_t time_ns) {
  const auto [seconds, rest] = split(time_ns);
  const std::tm& t = local_time(seconds);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", t.tm_hour, t.tm_min, t.tm_sec, rest / 1'000'000);
}

std::string rfc3339_text(int64_t time_ns) {
  const auto [seconds, rest] = split(time_ns);
  const time_t t = seconds;
  std::tm utc{};
  ::gmtime_r(&t, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, rest);
}

std::string name_text(std::string_view bytes) {
  const bool bare = !bytes.starts_with("$'") && knell::printable(bytes) == bytes;
  return bare ? std::string(bytes) : quoted(bytes);
}

std::string json_string(std::string_view bytes) { return knell::json_string(bytes); }

std::string json_string(const knell_string& bytes) {
  return bytes.data == nullptr ? "null" : json_string(view(bytes));
}

std::string_view json_member(std::string_view object, std::string_view key) {
  size_t depth = 0, start = 0;  // of the member at depth 1 that is being read
  bool in_string = false;
  for (size_t at = 0; at < object.size(); ++at) {
    const char c = object[at];
    if (in_string) {
      if (c == '\\')
        ++at;
      else if (c == '"')
        in_string = false;
      continue;
    }
    const bool closes = c == '}' || c == ']';
    if (c == '"') in_string = true;
    if (depth == 1 && (c == ',' || c == '}')) {
      const std::string_view member = object.substr(start, at - start);
      const size_t value = key.size() + 3;  // size of the key with its two quotes and the colon
      if (member.size() > value && member[0] == '"' && member.substr(1).starts_with(key) &&
          member.substr(key.size() + 1).starts_with("\":"))
        return member.substr(value);
      start = at + 1;
    }
    if (c == '{' || c == '[') {
      if (++depth == 1) start = at + 1;
    } else if (closes) {
      --depth;
    }
  }
  return {};
}

std::string command_text(const knell_event& event) {
  const std::vector<std::string_view> words = args(event);
  if (words.empty() || (words.size() == 1 && words.front().empty())) {
    const knell_string& name = event.comm.data != nullptr ? event.comm : event.exe;
    std::string out = name.data != nullptr ? "[" + printable(name) + "]" : "-";
    if ((event.flags & KNELL_FLAG_DETAILS_LOST) != 0) out += " (details lost)";
    return out;
  }
  if (is_title(words)) return title_text(words.front());
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ' ';
    append_word(out, word);
  }
  if ((event.flags & KNELL_FLAG_ARGS_TRUNCATED) != 0) out += " …";
  return out;
}

namespace {

std::string text_of_type(const knell_event& event) {
  switch (event.type) {
    case KNELL_EVENT_EXIT:
      return ended(event);
    case KNELL_EVENT_FORK: {
      const bool thread = event.child_tid != event.child_pid && event.child_tid != 0;
      return thread ? fmt::format("fork -> {}/{}", event.child_pid, event.child_tid)
                    : fmt::format("fork -> {}", event.child_pid);
    }
    case KNELL_EVENT_EXEC: {
      std::string out = "exec";
      if ((event.flags & KNELL_FLAG_PRIVILEGES_WITHHELD) != 0)
        out += " without its privileges (traced)";
      if ((event.flags & KNELL_FLAG_NOT_FOLLOWED) != 0) out += ", not followed (it traces)";
      return out;
    }
    case KNELL_EVENT_UID:
      return ids_text("uid", event.ruid, event.euid);
    case KNELL_EVENT_GID:
      return ids_text("gid", event.rgid, event.egid);
    case KNELL_EVENT_SID:
      return "new session";
    case KNELL_EVENT_PTRACE:
      return event.tracer_pid == 0 ? "ptrace ended" : fmt::format("ptrace by {}", event.tracer_pid);
    case KNELL_EVENT_COMM: {
      const std::string before = event.comm.data != nullptr ? printable(event.comm) : "?";
      return fmt::format("comm {} -> {}", before, printable(event.new_comm));
    }
    default:
      return knell_type_name(event.type);
  }
}

}  // namespace

std::string event_text(const knell_event& event) {
  std::string out = text_of_type(event);
  if ((event.flags & KNELL_FLAG_RECOVERED) != 0) out += " (recovered)";
  return out;
}

// The journal counts damaged blocks and events that were deleted before they were delivered, too.
// From the other sources only a full buffer causes losses with a count.
static bool buffer_was_full(const knell_event& event) {
  const bool journal = event.via == KNELL_VIA_JOURNAL || event.cursor.data != nullptr;
  return (event.has & KNELL_HAS_COUNT) != 0 && !journal;
}

std::string lost_text(const knell_event& event, TimeZone zone) {
  constexpr uint32_t kExits = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;
  const bool counted = (event.has & KNELL_HAS_COUNT) != 0;
  const bool exits = event.lost_types != 0 && (event.lost_types & ~kExits) == 0;
  const std::string_view what = exits ? "exit" : "event";
  std::string out = "lost ";
  if (!counted) {
    out += fmt::format("an unknown number of {}s", what);
  } else {
    if ((event.flags & KNELL_FLAG_EXACT) == 0) out += "at most ";
    out += fmt::format("{} {}{}", event.lost_count, what, event.lost_count == 1 ? "" : "s");
  }
  if (const int64_t from = event.lost_from_time_ns; from != 0)
    out += " since " + (zone == TimeZone::kUtc ? rfc3339_text(from) : clock_text(from));
  if (buffer_was_full(event)) out += " (buffer full)";
  return out;
}

namespace {

bool same(const knell_string& a, const knell_string& b) { return view(a) == view(b); }

// "8103 bash <- deploy.sh (root)"; `sender` is killed_by or last_signal.
std::string sender_text(const knell_event& event, const auto& sender) {
  if (sender.pid == 0) return "a process outside this pid namespace";
  std::string text = std::to_string(sender.pid);
  if (sender.comm.data != nullptr) text += " " + printable(sender.comm);
  if (sender.parent_comm.data != nullptr) text += " <- " + printable(sender.parent_comm);
  const bool same_user = (event.has & KNELL_HAS_UID) != 0 && event.uid == sender.uid;
  text += sender.uid == 0                           ? " (root)"
          : same_user && event.user.data != nullptr ? " (" + printable(event.user) + ")"
                                                    : fmt::format(" (uid {})", sender.uid);
  return text;
}

std::string killed_by_text(const knell_event& event) {
  const auto& killer = event.killed_by;
  switch (killer.cause) {
    case KNELL_CAUSE_OOM: {
      const knell_string& cgroup = killer.memory_cgroup;
      if (cgroup.data == nullptr || same(cgroup, event.cgroup)) return "  <- out of memory";
      return "  <- out of memory in " + printable(cgroup);
    }
    case KNELL_CAUSE_KERNEL:
      if (killer.pid == 0) return "  <- by the kernel";
      return "  <- by the kernel when " + sender_text(event, killer) + " exited";
    default:
      return "  <- kill by " + sender_text(event, killer);
  }
}

// The name of a signal that asks a process to end; the number of any other.
std::string request_name(int signal) {
  switch (signal) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGQUIT:
      return "SIGQUIT";
    case SIGHUP:
      return "SIGHUP";
    default:
      return fmt::format("signal {}", signal);
  }
}

// "20ms", "2.1s", "3h12m".
std::string ago_text(uint64_t ns) {
  if (ns >= 1'000'000'000 && ns < 60'000'000'000)
    return fmt::format("{}.{}s", ns / 1'000'000'000, ns / 100'000'000 % 10);
  return duration_text(std::chrono::nanoseconds(static_cast<int64_t>(ns & INT64_MAX)));
}

}  // namespace

std::string killer_text(const knell_event& event) {
  const auto& killer = event.killed_by;
  std::string text;
  if ((event.has & KNELL_HAS_KILLER) != 0) {
    text = killed_by_text(event);
    // A process that receives a termination request often kills itself by the same signal; then the
    // request is shown too.
    if (killer.cause != KNELL_CAUSE_USER || killer.pid != event.pid) return text;
  }
  if ((event.has & KNELL_HAS_LAST_SIGNAL) == 0) return text;
  const auto& last = event.last_signal;
  return text + fmt::format("  <- {} from {} {} before", request_name(last.signal),
                            sender_text(event, last), ago_text(last.ago_ns));
}

std::string_view via_text(uint32_t via) {
  if (via == KNELL_VIA_RECORDING) return "a recording";
  return via == KNELL_VIA_AUTO ? "an unknown source" : knell_via_name(via);
}

std::string source_text(const knell_stats& stats) {
  if (stats.daemon == KNELL_DAEMON_NONE) return std::string(via_text(stats.via));
  return fmt::format("knelld ({})", via_text(stats.via));
}

std::string scope_text(const knell_stats& stats) {
  switch (stats.scope) {
    case KNELL_SCOPE_USER:
      return fmt::format(" of uid {}", stats.scope_uid);
    case KNELL_SCOPE_NAMESPACE:
      return " of this pid namespace";
    default:
      return {};
  }
}

std::string origin_text(const knell_recording& recording) {
  const std::tm& t = local_time(split(recording.started_ns).first);
  std::string text = fmt::format("recorded {:04}-{:02}-{:02} {:02}:{:02}:{:02} via {}, {}",
                                 t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min,
                                 t.tm_sec, via_text(recording.via), printable(recording.kernel));
  if (recording.details == KNELL_DETAILS_NAMES) text += ", details names";
  if (recording.details == KNELL_DETAILS_STATUS) text += ", details status";
  const std::string_view selection = recording.selection;
  if (!selection.empty() && selection != "all processes")
    text += fmt::format(", of {}", printable(selection));
  return text;
}

std::string events_words(uint32_t mask) {
  mask = knell_valid_event(mask);
  constexpr uint32_t kExits = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;
  if ((mask | KNELL_EVENT_NONZERO_EXIT) == KNELL_EVENT_ALL && (mask & KNELL_EVENT_EXIT) != 0)
    return "all events";
  struct Name {
    uint32_t bit;
    std::string_view words;
  };
  constexpr Name kNames[] = {
      {KNELL_EVENT_FORK, "forks"},        {KNELL_EVENT_EXEC, "execs"},
      {KNELL_EVENT_UID, "uid changes"},   {KNELL_EVENT_GID, "gid changes"},
      {KNELL_EVENT_SID, "new sessions"},  {KNELL_EVENT_PTRACE, "ptrace"},
      {KNELL_EVENT_COMM, "name changes"}, {KNELL_EVENT_COREDUMP, "core dumps"},
  };
  std::vector<std::string_view> words;
  for (const Name& name : kNames) {
    if ((mask & name.bit) != 0) words.push_back(name.words);
  }
  if ((mask & kExits) != 0)
    words.push_back((mask & KNELL_EVENT_EXIT) != 0 ? "exits" : "non-zero exits");
  if (words.size() == 1) return std::string(words.front());
  const std::string_view last = words.back();
  words.pop_back();
  return fmt::format("{} and {}", fmt::join(words, ", "), last);
}

}  // namespace knell::cli
