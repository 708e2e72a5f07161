// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/tracee_files.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "base/proc_status.h"
#include "base/unique_fd.h"
#include "source/ptrace/dynamic_symbols.h"

namespace knell::source {
namespace {

// Programs with one of these names use ptrace(2): debuggers and strace; and those built with
// AddressSanitizer or LeakSanitizer, which look for leaks from a process that traces their threads.
// So does knell run, which needs its own command untraced.
constexpr std::array<std::string_view, 4> kTracing{"ptrace", "__asan_init", "__lsan_init",
                                                   "knell_open"};

constexpr uint32_t kOverflowId =
    65534;  // of a file whose owner has no number in the user namespace

struct Path {
  char text[64];
  Path(pid_t pid, const char* name) {
    (void)std::snprintf(text, sizeof text, "/proc/%d/%s", static_cast<int>(pid), name);
  }
};

std::string_view read_into(pid_t pid, const char* name, char* buffer, size_t bytes) {
  const UniqueFd fd(::open(Path(pid, name).text, O_RDONLY | O_CLOEXEC));
  size_t size = 0;
  while (fd && size < bytes) {
    const ssize_t n = ::read(fd.get(), buffer + size, bytes - size);
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  return {buffer, size};
}

// The words of the line that starts with `name`.
std::optional<std::string_view> line_of(std::string_view text, std::string_view name) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.starts_with(name)) return line.substr(name.size());
    at = end + 1;
  }
  return std::nullopt;
}

// The next number in `words`, which is removed from it.
template <class Number>
bool take(std::string_view& words, Number& number, int base = 10) {
  const size_t from = words.find_first_not_of(" \t");
  if (from == std::string_view::npos) return false;
  words.remove_prefix(from);
  const auto [end, error] =
      std::from_chars(words.data(), words.data() + words.size(), number, base);
  if (error != std::errc()) return false;
  words.remove_prefix(static_cast<size_t>(end - words.data()));
  return true;
}

template <class Number>
bool number_of(std::string_view text, std::string_view name, Number& number, int base = 10) {
  auto line = line_of(text, name);
  return line && take(*line, number, base);
}

uint64_t file_capabilities(const char* path) {
  vfs_ns_cap_data data{};
  const ssize_t size = ::getxattr(path, "security.capability", &data, sizeof data);
  if (size < static_cast<ssize_t>(XATTR_CAPS_SZ_2)) return 0;
  return static_cast<uint64_t>(data.data[0].permitted) |
         static_cast<uint64_t>(data.data[1].permitted) << 32;
}

Program read_program(const char* path, const struct stat& file) {
  Program program{.mode = file.st_mode, .owner = file.st_uid, .group = file.st_gid};
  program.capabilities = file_capabilities(path);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (fd) program.traces = has_dynamic_symbol(fd.get(), kTracing);
  struct statvfs system{};
  program.without_set_id = ::statvfs(path, &system) != 0 || (system.f_flag & ST_NOSUID) != 0;
  return program;
}

}  // namespace

std::optional<TraceeStatus> parse_tracee_status(std::string_view text) {
  TraceeStatus status;
  if (!number_of(text, "Tgid:", status.tgid)) return std::nullopt;
  auto ids = line_of(text, "Uid:");
  if (!ids || !take(*ids, status.uid) || !take(*ids, status.euid)) return std::nullopt;
  ids = line_of(text, "Gid:");
  if (!ids || !take(*ids, status.gid) || !take(*ids, status.egid)) return std::nullopt;
  (void)number_of(text, "SigCgt:", status.caught, 16);
  (void)number_of(text, "SigIgn:", status.ignored, 16);
  (void)number_of(text, "CapPrm:", status.permitted, 16);
  (void)number_of(text, "CapBnd:", status.bounding, 16);
  int no_new_privileges = 0;
  status.no_new_privileges =
      number_of(text, "NoNewPrivs:", no_new_privileges) && no_new_privileges != 0;
  if (auto levels = line_of(text, "NStgid:")) {
    int32_t number = 0;
    for (int level = 0; take(*levels, number); level++)
      if (level > 0) status.nested_pid = number;
  }
  return status;
}

std::optional<TraceeStatus> read_tracee_status(pid_t tid) {
  const UniqueFd fd(::open(Path(tid, "status").text, O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::array<char, kProcStatusBytes> buffer;
  return parse_tracee_status(read_proc_status(fd.get(), buffer));
}

bool in_own_user_namespace(pid_t tid) {
  struct stat own{}, its{};
  return ::stat("/proc/self/ns/user", &own) == 0 && ::stat(Path(tid, "ns/user").text, &its) == 0 &&
         own.st_ino == its.st_ino && own.st_dev == its.st_dev;
}

std::optional<long> read_tracee_system_call(pid_t tid) {
  char buffer[256];
  std::string_view text = read_into(tid, "syscall", buffer, sizeof buffer);
  long number = 0;
  return take(text, number) ? std::optional(number) : std::nullopt;
}

std::string read_tracee_file(pid_t pid, const char* name, size_t most) {
  std::string text(most, '\0');
  text.resize(read_into(pid, name, text.data(), most).size());
  return text;
}

std::string read_tracee_link(pid_t pid, const char* name) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(Path(pid, name).text, target, sizeof target);
  return {target, static_cast<size_t>(std::max<ssize_t>(size, 0))};
}

bool privileges_withheld(const Program& program, const TraceeStatus& after) {
  if (program.without_set_id || after.no_new_privileges) return false;
  if ((program.mode & S_ISUID) != 0 && program.owner != kOverflowId && after.euid != program.owner)
    return true;
  // Without the permission for the group to execute, the bit means mandatory locking.
  constexpr mode_t kSetGid = S_ISGID | S_IXGRP;
  if ((program.mode & kSetGid) == kSetGid && program.group != kOverflowId &&
      after.egid != program.group)
    return true;
  return (program.capabilities & after.bounding & ~after.permitted) != 0;
}

const Program* ProgramCache::of(pid_t pid) {
  const Path path(pid, "exe");
  struct stat file{};
  if (::stat(path.text, &file) != 0) return nullptr;
  const Key key{file.st_dev, file.st_ino, file.st_ctim.tv_sec, file.st_ctim.tv_nsec};
  if (const auto known = programs_.find(key); known != programs_.end()) return &known->second;
  if (programs_.size() >= kMost) programs_.clear();
  return &programs_.emplace(key, read_program(path.text, file)).first->second;
}

}  // namespace knell::source
