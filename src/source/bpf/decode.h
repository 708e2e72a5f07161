// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "source/bpf/record.h"

namespace knell::source {

// A decoded record of a ring. Pointers and views refer to the bytes of the record.
struct Decoded {
  const knell_record* head = nullptr;
  const knell_process* process = nullptr;  // one of these three is set
  const knell_mark* mark = nullptr;
  const knell_cgroup* cgroup = nullptr;
  std::string_view args, exe_names, cwd_names, memory_cgroup_names;  // of a process
  std::string_view senders;  // array of knell_sender, unaligned
  std::string_view levels;   // array of knell_numbers, unaligned
  std::string_view path;     // of a cgroup

  int32_t pid() const { return process != nullptr ? process->pid : mark->pid; }
  uint64_t start_ns() const { return process != nullptr ? process->start_ns : mark->start_ns; }
  int32_t status() const { return process != nullptr ? process->status : mark->status; }
};

// nullopt: `bytes` is no valid record, or does not begin on an 8-byte boundary as in a ring.
std::optional<Decoded> decode(std::string_view bytes);

// Makes a path of names in the order from the last to the first, each with its NUL. The path is as
// long as `names`, without a NUL. False: `names` does not end with a NUL.
bool reverse_path(std::string_view names, char* path);

}  // namespace knell::source
