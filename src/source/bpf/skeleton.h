// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>

#include "base/result.h"
#include "source/bpf/programs.h"

// clang-format off: the skeleton has structures of record.h
#include <bpf/libbpf.h>
#include <knell_programs.skel.h>
// clang-format on

// Information about the object that libbpf loads, for Programs.
namespace knell::source {

bpf_program* program_of(const knell_programs& skeleton, Programs::Program program);
std::string name_of_program(const knell_programs& skeleton, Programs::Program program);
// See KNELL_ENTRY in maps.bpf.inc. nullptr: the program is not attached to a tracepoint.
bpf_program* entry_program(const knell_programs& skeleton, Programs::Program program);
bpf_map* entry_map(const knell_programs& skeleton, Programs::Program program);
// The constants belong to one version of the programs, like the code.
bool is_constants(const bpf_map* map);
// The part of descriptor names that is specific to one version of the programs.
std::string version_prefix(uint64_t hash);
size_t bss_bytes(const knell_programs& skeleton);  // size in memory
// An error of Programs::adopt().
std::unexpected<Error> stale(std::string why);

}  // namespace knell::source
