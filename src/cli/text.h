// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <knell/knell.hpp>
#include <string>
#include <string_view>

namespace knell::cli {

// The columns of a terminal that `text` takes: valid UTF-8 without control bytes.
size_t display_width(std::string_view text);
// `text`, cut to `columns`; a text that was cut ends with `…`.
std::string cut(std::string_view text, size_t columns);
// The bytes of `text` that go on a line of `columns`: up to the last blank that fits, or in the
// middle of a word that is longer than the line. At least one character.
size_t line_break(std::string_view text, size_t columns);
// Appends `text` and blanks up to `columns`; a longer text is not cut.
void append_padded(std::string& out, std::string_view text, size_t columns);

// "03:12:01.412", local time; and RFC 3339 in UTC.
std::string clock_text(int64_t time_ns);
std::string rfc3339_text(int64_t time_ns);

// A JSON string in quotes, of any bytes; null where `bytes` has no data.
std::string json_string(const knell_string& bytes);
std::string json_string(std::string_view bytes);
// The text of the value of a member of a valid JSON object; empty: there is no such member.
std::string_view json_member(std::string_view object, std::string_view key);

// A name, safe to print: unchanged, or, where it has bytes that are not safe, quoted as $'a\x1b',
// which a shell reads as the name. So two names never look the same.
std::string name_text(std::string_view bytes);

// The arguments of a process, safe to print, those with spaces quoted. A title that a process wrote
// over its arguments ("postgres: idle") is not quoted. A process without arguments is shown by its
// comm: "[kworker]".
std::string command_text(const knell_event& event);
// How the process ended, or the type of an event that is no exit: "exit 1", "exec", "fork -> 123",
// "uid 33".
std::string event_text(const knell_event& event);
// "lost 12 exits since 03:12:04.981 (buffer full)"; the cause only where it is certain. The time is
// that of clock_text(), or with kUtc of rfc3339_text().
enum class TimeZone { kLocal, kUtc };
std::string lost_text(const knell_event& event, TimeZone zone = TimeZone::kLocal);
// The cause of the exit; empty where it is unknown: "  <- kill by 8103 bash <- deploy.sh (root)", "
// <- out of memory in /docker/1f2e", "  <- by the kernel when 4411 sh (root) exited", "  <-
// SIGINT from 8103 bash <- deploy.sh (postgres) 2.1s before".
std::string killer_text(const knell_event& event);

// The name of a source of enum knell_via: "bpf", "connector".
std::string_view via_text(uint32_t via);
// The source of a listener's events: "bpf", or "knelld (bpf)".
std::string source_text(const knell_stats& stats);
// Which processes the listener may see, as text that follows the word "processes": " of uid 65534",
// " of this pid namespace"; empty: all processes.
std::string scope_text(const knell_stats& stats);
// "recorded 2026-11-23 16:50:01 via bpf, Linux 6.18.1 x86_64", local time, and the selection.
std::string origin_text(const knell_recording& recording);

// "exits", "non-zero exits", "execs and exits", "all events".
std::string events_words(uint32_t mask);

using knell::printable;
inline std::string printable(const knell_string& bytes) {
  return bytes.data == nullptr ? std::string() : name_text(view(bytes));
}

}  // namespace knell::cli
