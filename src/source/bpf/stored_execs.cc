// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/stored_execs.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/pidfd.h"
#include "source/bpf/record.h"

namespace knell::source {
namespace {

// False: there are no args (a kernel thread), or we may not read them.
bool read_args(int32_t pid, knell_stored_exec& exec) {
  const std::string path = "/proc/" + std::to_string(pid) + "/cmdline";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  std::array<char, KNELL_STORED_ARGS + 1> bytes;
  const ssize_t size = ::read(file.get(), bytes.data(), bytes.size());
  if (size <= 0) return false;
  const size_t kept = std::min(static_cast<size_t>(size), sizeof exec.args);
  std::memcpy(exec.args, bytes.data(), kept);
  exec.args_bytes = static_cast<uint32_t>(kept);
  exec.flags = KNELL_RECORD_ARGS;
  if (static_cast<size_t>(size) > kept) exec.flags |= KNELL_RECORD_ARGS_CUT;
  return true;
}

// Writes the path as the programs do: the names from the last to the first, each with its NUL.
void read_exe(int32_t pid, knell_stored_exec& exec) {
  const std::string link = "/proc/" + std::to_string(pid) + "/exe";
  std::array<char, KNELL_STORED_PATH> bytes;
  const ssize_t size = ::readlink(link.c_str(), bytes.data(), bytes.size());
  if (size <= 0 || static_cast<size_t>(size) == bytes.size() || bytes[0] != '/') return;
  std::string_view path(bytes.data(), static_cast<size_t>(size));
  uint32_t end = 0;
  while (!path.empty()) {
    const size_t slash = path.rfind('/');
    const std::string_view name = path.substr(slash + 1);
    std::memcpy(exec.exe + end, name.data(), name.size());
    end += static_cast<uint32_t>(name.size());
    exec.exe[end++] = '\0';
    path = path.substr(0, slash);
  }
  exec.exe_bytes = end;
}

}  // namespace

void store_exec(int map_fd, int32_t pid) {
  const auto pidfd = try_pidfd_open(pid);
  if (!pidfd) return;
  knell_stored_exec exec{};
  if (!read_args(pid, exec)) return;
  read_exe(pid, exec);
  const int key = pidfd->get();
  bpf_map_update_elem(map_fd, &key, &exec, BPF_NOEXIST);
}

}  // namespace knell::source
