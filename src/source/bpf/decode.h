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

// A decoded record of a ring: pointers and views into the record.
struct Decoded {
  const knell_record* head = nullptr;
  const knell_process* process = nullptr;  // one of these three is set
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

// nullopt: `bytes` is no valid record, or does not begin on an 8-byte boundary as in a ring.
std::optional<Decoded> decode(std::string_view bytes);

// Makes a path of names in the order from the last to the first, each with its NUL. Empty: `names`
// is empty or does not end with a NUL.
void reverse_path(std::string_view names, std::string& path);

// Makes events of records. An event is valid until the next call, and as long as its record.
class RecordDecoder {
 public:
  event::Full& event_of(const Decoded& record);
  // Makes an exit of its mark and its details. `details` is null if they did not come.
  event::Full& event_of_exit(const Decoded* details, const knell_mark& mark);

 private:
  void fill(const Decoded& record);

  event::Full full_;
  std::string exe_, cwd_, memory_cgroup_;
  std::array<event::NamespacePids, event::kMostLevels> levels_;
};

}  // namespace knell::source
