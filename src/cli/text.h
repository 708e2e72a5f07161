// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <knell/knell.hpp>
#include <string>
#include <string_view>

namespace knell::cli {

// Columns of a terminal that valid UTF-8 without control bytes takes.
size_t display_width(std::string_view text);
// At most `columns` wide; what was cut ends with `…`.
std::string cut(std::string_view text, size_t columns);
// The bytes of `text` that go on a line of `columns`: up to the last blank that fits, or in the
// middle of a word that is longer than the line. At least one character.
size_t line_break(std::string_view text, size_t columns);
// Appends `text` and blanks up to `columns`; a longer text stays whole.
void append_padded(std::string& out, std::string_view text, size_t columns);

// "03:12:01.412", local time; and RFC 3339 in UTC.
std::string clock_text(int64_t time_ns);
std::string rfc3339_text(int64_t time_ns);

// A JSON string in quotes, of any bytes; null where there is none.
std::string json_string(const knell_string& bytes);
std::string json_string(std::string_view bytes);
// The text of a member's value in a valid JSON object; empty: it has no such member.
std::string_view json_member(std::string_view object, std::string_view key);

// A name, safe to print: as it is, or, where it has bytes that are not, as $'a\x1b', which a shell
// takes for the name. So it is told apart from one that looks the same.
std::string name_text(std::string_view bytes);

// The words a process was started with, safe to print, words with spaces quoted. A title that a
// process wrote over them ("postgres: idle") stays bare, and one without arguments is told by its
// comm: "[kworker]".
std::string command_text(const knell_event& event);
// How it ended, or what happened where it is another type: "exit 1", "exec", "fork -> 123",
// "uid 33".
std::string event_text(const knell_event& event);
// "lost 12 exits since 03:12:04.981 (buffer full)".
std::string lost_text(const knell_event& event);
// Why it ended, where that is known, else empty: "  <- kill by 8103 bash <- deploy.sh (root)", " <-
// out of memory in /docker/1f2e", "  <- by the kernel, at the end of 4411 sh (root)", "  <- asked
// by SIGINT of 8103 bash <- deploy.sh (postgres) 2.1s before".
std::string killer_text(const knell_event& event);

// "bpf", "connector", ... of enum knell_via.
std::string_view via_text(uint32_t via);
// Where a listener's events come from: "bpf", or "knelld (bpf)".
std::string source_text(const knell_stats& stats);
// Whose processes it may hear of, to follow "processes": " of uid 65534", " of this pid namespace";
// "" of everybody's.
std::string scope_text(const knell_stats& stats);
// "recorded 2026-11-23 16:50:01 via bpf, Linux 6.18.1 x86_64", local time, and of which processes.
std::string origin_text(const knell_recording& recording);

// "exits", "non-zero exits", "execs and exits", "all events".
std::string events_words(uint32_t mask);

using knell::printable;
inline std::string printable(const knell_string& bytes) {
  return bytes.data == nullptr ? std::string() : name_text(view(bytes));
}

}  // namespace knell::cli
