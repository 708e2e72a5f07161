// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Checks and takes over the programs and maps that an earlier process stored: see
// docs/design/restart.md.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "source/bpf/skeleton.h"

namespace knell::source {
namespace {

struct ProgramInfo {
  __u32 id = 0;
  std::vector<__u32> maps;  // their numbers
};

std::optional<ProgramInfo> info_of_program(int fd) {
  std::array<__u32, 64> used{};
  bpf_prog_info info{};
  info.nr_map_ids = used.size();
  info.map_ids = reinterpret_cast<uintptr_t>(used.data());
  __u32 bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &bytes) != 0 || info.nr_map_ids > used.size())
    return std::nullopt;
  return ProgramInfo{.id = info.id, .maps = {used.begin(), used.begin() + info.nr_map_ids}};
}

std::optional<bpf_map_info> info_of_map(int fd) {
  bpf_map_info info{};
  __u32 bytes = sizeof info;
  if (bpf_obj_get_info_by_fd(fd, &info, &bytes) != 0) return std::nullopt;
  return info;
}

bool is_subset(const std::vector<__u32>& some, const std::vector<__u32>& all) {
  return std::ranges::all_of(some,
                             [&](__u32 one) { return std::ranges::find(all, one) != all.end(); });
}

}  // namespace

Result<void> Programs::adopt_maps(const Options& options) {
  const knell_programs& skeleton = maps();
  for (bpf_map* map = nullptr; (map = bpf_object__next_map(skeleton.obj, map)) != nullptr;) {
    const std::string name = bpf_map__name(map);
    const UniqueFd fd = keeper_->take(name_of(is_constants(map) ? 'c' : 'm', name));
    if (!fd && is_constants(map)) continue;  // skip stored constants of other versions
    if (!fd) return stale("the map " + name + " is missing");
    const auto info = info_of_map(fd.get());
    if (!info || info->type != bpf_map__type(map) || info->key_size != bpf_map__key_size(map) ||
        info->value_size != bpf_map__value_size(map) ||
        (bpf_map__max_entries(map) != 0 && info->max_entries != bpf_map__max_entries(map)) ||
        !name.starts_with(info->name))  // the kernel cuts names
      return stale("the map " + name + " has another name, type or size");
    if (bpf_map__reuse_fd(map, fd.get()) != 0) return errno_error("take over a map");
  }
  // libbpf maps the memory of the programs only when it loads them.
  const __u32 zero = 0;
  const int constants = bpf_map__fd(skeleton.maps.rodata);
  if (constants >= 0 && bpf_map_lookup_elem(constants, &zero, skeleton.rodata) != 0)
    return errno_error("read the settings of the stored programs");
  void* bss = ::mmap(nullptr, bss_bytes(skeleton), PROT_READ | PROT_WRITE, MAP_SHARED,
                     bpf_map__fd(skeleton.maps.bss), 0);
  if (bss == MAP_FAILED) return errno_error("share a map with the tracing programs");
  adopted_bss_ = bss;
  objects_.front().skeleton->bss = static_cast<decltype(skeleton.bss)>(bss);
  if (skeleton.rodata->hierarchy != options.hierarchy)
    return stale("they report another cgroup hierarchy");
  return map_pids();
}

std::vector<uint32_t> Programs::map_ids() const {
  std::vector<uint32_t> ids;
  for (bpf_map* map = nullptr; (map = bpf_object__next_map(maps().obj, map)) != nullptr;)
    if (const auto info = info_of_map(bpf_map__fd(map)); info) ids.push_back(info->id);
  return ids;
}

// Takes the programs of all versions, after their constants; those of this version are used. A
// program is accepted only if all its maps are ours.
Result<std::vector<Programs::StoredProgram>> Programs::take_programs() {
  std::vector<StoredProgram> stored;
  std::vector<uint32_t> ours = map_ids();
  const size_t version = layout_prefix().size(), kind = version + version_prefix(0).size();
  const auto names = keeper_->names(layout_prefix());
  const auto is = [&](const std::string& name, std::string_view what) {
    return name.size() > kind && name.substr(kind, what.size()) == what;
  };
  for (const std::string& name : names) {
    if (!is(name, "c.")) continue;
    if (const auto info = info_of_map(keeper_->take(name).get()); info) ours.push_back(info->id);
    stored.push_back({.stored_as = name, .name = {}, .id = 0});
  }
  for (const std::string& name : names) {
    if (!is(name, "p.")) continue;
    const std::string what = name.substr(kind + 2);
    UniqueFd fd = keeper_->take(name);
    const auto info = info_of_program(fd.get());
    if (!info) return stale("the program " + what + " cannot be examined");
    if (!is_subset(info->maps, ours))
      return stale("the program " + what + " uses maps of another process");
    stored.push_back({.stored_as = name, .name = what, .id = info->id});
    for (size_t i = 0; i < kPrograms; i++) {
      const auto program = static_cast<Program>(i);
      if (name != name_of('p', name_of_program(maps(), program))) continue;
      adopted_[i] = std::move(fd);
      loaded_.add(program);
      break;
    }
  }
  return stored;
}

// Checks the chain from the tracepoint to the program: the link refers to the entry, the entry uses
// our map, and the map has one of the stored programs.
Result<void> Programs::adopt_entry(Program program, const std::vector<StoredProgram>& stored,
                                   Set needed, Set attached) {
  const bpf_map* map = entry_map(maps(), program);
  if (map == nullptr) return {};
  const auto i = static_cast<size_t>(program);
  const std::string name = name_of_program(maps(), program);
  UniqueFd entry = keeper_->take(name_of('e', name)), link = keeper_->take(name_of('l', name));
  if (!entry && needed.has(program)) return stale("the entry of " + name + " is missing");
  if (!link && attached.has(program)) return stale("the link of " + name + " is missing");
  if (!entry) return {};
  const auto used = info_of_program(entry.get());
  const auto entered = info_of_map(bpf_map__fd(map));
  // libbpf lets the entry also use the constants of its own version, which may have been removed.
  if (!used || !entered || !is_subset({entered->id}, used->maps))
    return stale("the entry of " + name + " belongs to another process");
  const __u32 zero = 0;
  __u32 id = 0;
  const bool any = bpf_map_lookup_elem(bpf_map__fd(map), &zero, &id) == 0;
  const auto is_it = [&](const StoredProgram& one) { return one.name == name && one.id == id; };
  if (!any || std::ranges::none_of(stored, is_it))
    return stale("the program " + name + " is missing");
  if (link) {
    bpf_link_info of{};
    __u32 bytes = sizeof of;
    if (bpf_obj_get_info_by_fd(link.get(), &of, &bytes) != 0 || of.prog_id != used->id)
      return stale("the link of " + name + " belongs to another program");
  }
  adopted_entries_[i] = std::move(entry);
  links_[i] = std::move(link);
  return {};
}

// From here on only programs of this version run. A program is replaced in one step, so each time
// that a tracepoint is reached, exactly one version runs. All versions with this layout use the
// same maps and write the same records. So no event is lost or repeated at any moment, even if this
// process is killed in between. The other programs are removed from the keeper after that: a
// process that finds a mixture needs all of them.
Result<void> Programs::replace_programs(const std::vector<StoredProgram>& stored, Set needed) {
  KNELL_TRY(load_more(needed));
  for (size_t i = 0; i < kPrograms; i++)
    if (adopted_[i]) KNELL_TRY(enter(static_cast<Program>(i)));
  const std::string ours = layout_prefix() + version_prefix(hash_);
  // First the programs, then the constants that they use.
  for (const StoredProgram& one : stored | std::views::reverse) {
    if (one.stored_as.starts_with(ours)) continue;
    upgraded_ = true;
    keeper_->remove(one.stored_as);
  }
  return {};
}

// A ring may look intact although no program writes to it any more. So this starts a child whose
// exit a program must count. The count is complete when the child can be reaped.
Result<void> Programs::check_heartbeat() {
  if (!links_[static_cast<size_t>(Program::kExit)]) return {};
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("make a pipe");
  UniqueFd read(ends[0]), write(ends[1]);
  auto* bss = maps().bss;
  volatile auto& pid = bss->heartbeat_pid;
  volatile auto& count = bss->heartbeats;
  const uint64_t before = count;
  const pid_t child = ::fork();
  if (child < 0) return errno_error("start a process");
  if (child == 0) {
    write.reset();
    char none = 0;
    ::_exit(::read(read.get(), &none, 1) == 0 ? 0 : 1);
  }
  pid = child;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  write.reset();
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid = 0;
  if (count == before) return stale("they do not run any more");
  return {};
}

}  // namespace knell::source
