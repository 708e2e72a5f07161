// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/proc_stat.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/time_namespace.h"
#include "base/unique_fd.h"

namespace knell {
namespace {

constexpr int kStateField = 3, kPpidField = 4, kTtyField = 7, kFlagsField = 9, kThreadsField = 20,
              kStartField = 22;
constexpr int kStartStackField = 28, kArgStartField = 48, kArgEndField = 49;
constexpr int kExitSignalField = 38, kExitCodeField = 52;
constexpr uint32_t kExiting = 0x4;      // PF_EXITING, linux/sched.h: the same since 2.6
constexpr uint32_t kForkNoExec = 0x40;  // PF_FORKNOEXEC
constexpr size_t kLineBytes = 2048;     // 52 fields of at most 21 characters and a name of 64

template <class Number>
bool parse(std::string_view word, Number& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size();
}

bool take(int field, std::string_view word, ProcStat& stat) {
  switch (field) {
    case kStateField:
      stat.state = word.empty() ? '?' : word[0];
      return word.size() == 1;
    case kPpidField:
      return parse(word, stat.ppid);
    case kTtyField: {
      int32_t number = 0;
      if (!parse(word, number)) return false;
      stat.tty = static_cast<uint32_t>(number);
      return true;
    }
    case kFlagsField: {
      uint32_t flags = 0;
      if (!parse(word, flags)) return false;
      stat.exiting = (flags & kExiting) != 0;
      stat.executed = (flags & kForkNoExec) == 0;
      return true;
    }
    case kThreadsField:
      return parse(word, stat.threads);
    case kStartField:
      if (!parse(word, stat.start)) return false;
      stat.start = kernel_start(stat.start, clock_offsets());
      return true;
    case kStartStackField:
      return parse(word, stat.start_stack);
    case kArgStartField:
      return parse(word, stat.arg_start);
    case kArgEndField:
      return parse(word, stat.arg_end);
    case kExitSignalField:
      return parse(word, stat.exit_signal);
    case kExitCodeField:
      return parse(word, stat.exit_code);
    default:
      return true;
  }
}

}  // namespace

std::optional<ProcStat> parse_proc_stat(std::string_view line) {
  const size_t name_end = line.rfind(')');
  const size_t name = line.find('(') + 1;
  if (name_end == std::string_view::npos || name == 0 || name > name_end) return std::nullopt;
  ProcStat stat;
  std::copy_n(line.begin() + static_cast<ptrdiff_t>(name),
              std::min(name_end - name, stat.comm.size() - 1), stat.comm.begin());
  line.remove_prefix(name_end + 1);
  int field = kStateField;
  for (; field <= kExitCodeField; field++) {
    const size_t from = line.find_first_not_of(" \n");
    if (from == std::string_view::npos) break;
    line.remove_prefix(from);
    const std::string_view word = line.substr(0, line.find_first_of(" \n"));
    if (!take(field, word, stat)) return std::nullopt;
    line.remove_prefix(word.size());
  }
  if (field <= kStartField) return std::nullopt;
  return stat;
}

std::optional<ProcStat> read_proc_stat(pid_t pid) {
  char text[kLineBytes];
  std::snprintf(text, sizeof text, "/proc/%d/stat", static_cast<int>(pid));
  const UniqueFd file(::open(text, O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  const ssize_t size = ::read(file.get(), text, sizeof text);
  if (size <= 0) return std::nullopt;  // ESRCH: the process ended between open and read
  return parse_proc_stat({text, static_cast<size_t>(size)});
}

}  // namespace knell
