// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "event/full.h"
#include "source/bpf/record.h"

namespace knell::source {

// A record as it came through a ring; views into it.
struct Decoded {
  const knell_record* head = nullptr;
  const knell_process* process = nullptr;  // one of these
  const knell_mark* mark = nullptr;
  const knell_cgroup* cgroup = nullptr;
  std::string_view args, exe_names, cwd_names, memory_cgroup_names;  // of a process
  std::string_view senders;  // of a process: knell_sender each, unaligned
  std::string_view levels;   // of a process: knell_numbers each, unaligned
  std::string_view path;     // of a cgroup

  int32_t pid() const { return process != nullptr ? process->pid : mark->pid; }
  uint64_t start_ns() const { return process != nullptr ? process->start_ns : mark->start_ns; }
  int32_t status() const { return process != nullptr ? process->status : mark->status; }
};

// nullopt: not a record of ours. `bytes` must lie on an 8-byte boundary, as in a ring; else
// nullopt.
std::optional<Decoded> decode(std::string_view bytes);

// The path of names that come from the last to the first, each with its NUL. Empty: no such thing.
void turn_path(std::string_view names, std::string& path);

// Turns records into events. What it returns lives until the next call.
class RecordDecoder {
 public:
  event::Full& event_of(const Decoded& record);
  // An exit: its mark, and its details where they came.
  event::Full& event_of_exit(const Decoded* details, const knell_mark& mark);

 private:
  void fill(const Decoded& record);

  event::Full full_;
  std::string exe_, cwd_, memory_cgroup_;
  std::array<event::Level, event::kMostLevels> levels_;
};

}  // namespace knell::source
