// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/decode.h"

#include <knell/cn_proc.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace knell::source {
namespace {

template <class T>
const T* as(std::string_view bytes) {
  return bytes.size() < sizeof(T) ? nullptr : reinterpret_cast<const T*>(bytes.data());
}

uint64_t senders_of(const knell_record& head) {
  return static_cast<uint64_t>((head.flags & KNELL_RECORD_KILLER) != 0) +
         static_cast<uint64_t>((head.flags & KNELL_RECORD_LAST_SENDER) != 0);
}

bool decode_process(std::string_view bytes, Decoded& decoded) {
  const auto* process = as<knell_process>(bytes);
  if (process == nullptr || process->pid <= 0) return false;
  const std::string_view tail = bytes.substr(sizeof *process);
  const uint64_t args = process->args_bytes, exe = process->exe_bytes, cwd = process->cwd_bytes;
  const uint64_t memory = process->memory_cgroup_bytes;
  const uint64_t senders = senders_of(process->head) * sizeof(knell_sender);
  const uint64_t levels = uint64_t{process->levels} * sizeof(knell_numbers);
  if (args + exe + cwd + memory + senders + levels > tail.size()) return false;
  if (process->levels > KNELL_MOST_LEVELS) return false;
  decoded.process = process;
  decoded.args = tail.substr(0, args);
  decoded.exe_names = tail.substr(args, exe);
  decoded.cwd_names = tail.substr(args + exe, cwd);
  decoded.memory_cgroup_names = tail.substr(args + exe + cwd, memory);
  decoded.senders = tail.substr(args + exe + cwd + memory, senders);
  decoded.levels = tail.substr(args + exe + cwd + memory + senders, levels);
  return true;
}

bool decode_cgroup(std::string_view bytes, Decoded& decoded) {
  const auto* cgroup = as<knell_cgroup>(bytes);
  if (cgroup == nullptr || cgroup->path_bytes > bytes.size() - sizeof *cgroup) return false;
  decoded.cgroup = cgroup;
  decoded.path = bytes.substr(sizeof *cgroup, cgroup->path_bytes);
  return true;
}

}  // namespace

std::optional<Decoded> decode(std::string_view bytes) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(knell_record) != 0) return std::nullopt;
  Decoded decoded;
  decoded.head = as<knell_record>(bytes);
  if (decoded.head == nullptr) return std::nullopt;
  switch (decoded.head->kind) {
    case KNELL_RECORD_MARK:
      decoded.mark = as<knell_mark>(bytes);
      if (decoded.mark == nullptr || decoded.mark->pid <= 0) return std::nullopt;
      return decoded;
    case KNELL_RECORD_DETAILS:
    case KNELL_RECORD_FORK:
    case KNELL_RECORD_EXEC:
    case KNELL_RECORD_COMM:
    case KNELL_RECORD_THREAD_EXIT:
    case KNELL_RECORD_CHANGE:
      if (!decode_process(bytes, decoded)) return std::nullopt;
      return decoded;
    case KNELL_RECORD_CGROUP:
      if (!decode_cgroup(bytes, decoded)) return std::nullopt;
      return decoded;
    default:
      return std::nullopt;
  }
}

// In the path a slash takes the place of each NUL. It is filled from the end.
bool reverse_path(std::string_view names, char* path) {
  if (names.empty() || names.back() != '\0') return false;
  for (char* to = path + names.size(); !names.empty();) {
    const size_t length = names.find('\0');
    to -= length;
    std::memcpy(to, names.data(), length);
    *--to = '/';
    names.remove_prefix(length + 1);
  }
  return true;
}

}  // namespace knell::source
