// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/skeleton.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

namespace knell::source {

bpf_program* program_of(const knell_programs& skeleton, Programs::Program program) {
  using Program = Programs::Program;
  switch (program) {
    case Program::kFork:
      return skeleton.progs.on_fork;
    case Program::kExec:
      return skeleton.progs.on_exec;
    case Program::kExit:
      return skeleton.progs.on_exit;
    case Program::kThreadExit:
      return skeleton.progs.on_thread_exit;
    case Program::kRename:
      return skeleton.progs.on_rename;
    case Program::kSignal:
      return skeleton.progs.on_signal;
    case Program::kDelivery:
      return skeleton.progs.on_delivery;
    case Program::kMkdir:
      return skeleton.progs.on_mkdir;
    case Program::kRenameCgroup:
      return skeleton.progs.on_rename_cgroup;
    case Program::kConnector:
      return skeleton.progs.on_connector;
  }
  return nullptr;
}

std::string name_of_program(const knell_programs& skeleton, Programs::Program program) {
  return bpf_program__name(program_of(skeleton, program));
}

bpf_program* entry_program(const knell_programs& skeleton, Programs::Program program) {
  const std::string name = "enter_" + name_of_program(skeleton, program);
  return bpf_object__find_program_by_name(skeleton.obj, name.c_str());
}

bpf_map* entry_map(const knell_programs& skeleton, Programs::Program program) {
  const std::string name = "entry_" + name_of_program(skeleton, program);
  return bpf_object__find_map_by_name(skeleton.obj, name.c_str());
}

bool is_constants(const bpf_map* map) {
  return std::string_view(bpf_map__name(map)).find(".rodata") != std::string_view::npos;
}

std::string version_prefix(uint64_t hash) {
  std::array<char, 18> text{};
  (void)std::snprintf(text.data(), text.size(), "%016llx.", static_cast<unsigned long long>(hash));
  return text.data();
}

size_t bss_bytes(const knell_programs& skeleton) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bpf_map__value_size(skeleton.maps.bss) + page - 1) / page * page;
}

std::unexpected<Error> stale(std::string why) {
  return say(ESTALE, "the stored programs cannot be used: " + std::move(why));
}

}  // namespace knell::source
