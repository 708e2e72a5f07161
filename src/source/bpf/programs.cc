// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <knell_programs.skel.h>
#include <knell_programs_cast.skel.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <mutex>
#include <new>
#include <optional>
#include <ranges>
#include <utility>

#include "base/privilege.h"
#include "source/bpf/kernel_types.h"

namespace knell::source {
namespace {

constexpr char kTypes[] = "/sys/kernel/btf/vmlinux";
constexpr size_t kMostLog = 256 * 1024;

// Where the calling thread keeps messages of libbpf; nullptr: it drops them.
thread_local constinit std::string* log_of_thread = nullptr;

// Keeps the messages of this thread while it exists.
class KeepLog {
 public:
  explicit KeepLog(std::string& log) { log_of_thread = &log; }
  KeepLog(const KeepLog&) = delete;
  KeepLog& operator=(const KeepLog&) = delete;
  ~KeepLog() { log_of_thread = nullptr; }
};

void append_log(std::string& log, const char* format, va_list arguments) {
  std::va_list again;
  va_copy(again, arguments);
  const int size = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (size <= 0) return;
  const size_t before = log.size();
  log.resize(before + static_cast<size_t>(size) + 1);
  (void)std::vsnprintf(&log[before], static_cast<size_t>(size) + 1, format, arguments);
  log.pop_back();  // its NUL
}

int keep_log(libbpf_print_level level, const char* format, va_list arguments) noexcept {
  std::string* log = log_of_thread;
  if (log == nullptr || level == LIBBPF_DEBUG || log->size() > kMostLog) return 0;
  try {
    append_log(*log, format, arguments);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;  // the message is dropped; libbpf is C and cannot handle an exception
  }
  return 0;
}

// Collects the messages of libbpf, so that it prints nothing. libbpf changes one limit of this
// process: it raises that of locked memory, before Linux 5.11 only, and ignores a failure.
void quieten_libbpf() {
  static std::once_flag once;
  std::call_once(once, [] { libbpf_set_print(keep_log); });
}

Result<void> check_privilege() {
  auto capabilities = effective_capabilities();
  if (!capabilities) return {};  // unknown: the kernel returns EPERM if they are missing
  const auto has = [&](int capability) { return ((*capabilities >> capability) & 1) != 0; };
  if (has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON))) return {};
  return say(EPERM,
             "needs CAP_BPF and CAP_PERFMON: run it as root, or give it these two capabilities");
}

std::unexpected<Error> explain(int error, std::string_view log) {
  const std::string why = std::strerror(error);
  if (error == EPERM || error == EACCES) {
    if (log.find("PROG LOAD LOG") == std::string_view::npos) {
      return say(ENOTSUP, "this kernel refuses tracing programs (" + why +
                              "): it is locked down, or the container forbids them");
    }
  }
  if (error == EMFILE || error == ENFILE) return make_error(error, "load the tracing programs");
  if (error == ENOMEM) return make_error(ENOMEM, "load the tracing programs");
  return say(ENOTSUP, "this kernel's verifier refuses the tracing programs (" + why + ")");
}

static_assert(std::atomic<uint64_t>::is_always_lock_free && sizeof(std::atomic<uint64_t>) == 8);
constexpr size_t kPidBytes = size_t{KNELL_PID_WORDS} * sizeof(uint64_t);

// The memory of a dying process can be read at sched_process_exit. The kernel change that moved the
// tracepoint to before exit_mm() also gave it the argument `group_dead`, whose presence shows it.
constexpr std::string_view kExitTracepoint = "btf_trace_sched_process_exit";
constexpr size_t kWithGroupDead = 3;                   // parameters
constexpr std::string_view kCast = "bpf_rdonly_cast";  // see plainly() in details.bpf.inc

std::string_view object_file(bool cast) {
  size_t size = 0;
  const void* bytes =
      cast ? knell_programs_cast__elf_bytes(&size) : knell_programs::elf_bytes(&size);
  return {static_cast<const char*>(bytes), size};
}

Result<KernelTypes> read_kernel_types() {
  std::vector<std::string_view> names{kExitTracepoint, kCast};
  for (const bool cast : {false, true})
    for (const std::string_view name : KernelTypes::names_in(object_file(cast)))
      names.push_back(name);
  return KernelTypes::read(kTypes, names);
}

// A file in memory.
Result<UniqueFd> file_of(std::string_view bytes) {
  UniqueFd fd(::memfd_create("knell-types", MFD_CLOEXEC));
  if (!fd || ::write(fd.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return errno_error("make a file in memory");
  return fd;
}

// The two objects are compiled from the same source and have the same programs and maps, so one
// skeleton fits both.
knell_programs* open_skeleton(bool cast, const bpf_object_open_opts& options) {
  if (!cast) return knell_programs::open(&options);
  auto* skeleton = static_cast<knell_programs*>(std::calloc(1, sizeof(knell_programs)));
  if (skeleton == nullptr) return nullptr;
  int error = knell_programs__create_skeleton(skeleton);
  if (error == 0) {
    skeleton->skeleton->data = knell_programs_cast__elf_bytes(&skeleton->skeleton->data_sz);
    error = bpf_object__open_skeleton(skeleton->skeleton, &options);
  }
  if (error == 0) return skeleton;
  knell_programs::destroy(skeleton);
  errno = -error;
  return nullptr;
}

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

constexpr auto kNotPolled = handover::Keeper::Poll::kNo;

// Of the object. It changes with the code of the programs, the formats of records and maps do not
// need to.
uint64_t hash_of(const knell_programs& skeleton) {
  const auto* bytes = static_cast<const unsigned char*>(skeleton.skeleton->data);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (size_t i = 0; i < skeleton.skeleton->data_sz; i++) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

// How the names of descriptors continue that belong to one version of the programs.
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

std::string name_of_program(const knell_programs& skeleton, Programs::Program program) {
  return bpf_program__name(program_of(skeleton, program));
}

// See KNELL_ENTRY in maps.bpf.inc. nullptr: the program is not attached to a tracepoint.
bpf_program* entry_program(const knell_programs& skeleton, Programs::Program program) {
  const std::string name = "enter_" + name_of_program(skeleton, program);
  return bpf_object__find_program_by_name(skeleton.obj, name.c_str());
}

bpf_map* entry_map(const knell_programs& skeleton, Programs::Program program) {
  const std::string name = "entry_" + name_of_program(skeleton, program);
  return bpf_object__find_map_by_name(skeleton.obj, name.c_str());
}

bool is_entry_map(const bpf_map* map) { return bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY; }

// The constants belong to one version of the programs, as the code does.
bool is_constants(const bpf_map* map) {
  return std::string_view(bpf_map__name(map)).find(".rodata") != std::string_view::npos;
}

// Whether the memory of a dying process can be read.
bool is_dying_readable(const KernelTypes& kernel, const Programs::Options& options) {
  return kernel.parameters_of(kExitTracepoint).value_or(0) >= kWithGroupDead &&
         !options.older_kernel_for_testing;
}

// What is set in an object before its maps are created or taken over.
void configure(knell_programs& object, const KernelTypes& kernel,
               const Programs::Options& options) {
  object.rodata->dying_readable = static_cast<__u32>(is_dying_readable(kernel, options));
  object.rodata->hierarchy = options.hierarchy;
#define KNELL_SET_TYPE_ID(type) object.rodata->type_ids.type = kernel.id_of_structure(#type);
  KNELL_TYPE_IDS(KNELL_SET_TYPE_ID)
#undef KNELL_SET_TYPE_ID
  const std::pair<bpf_map*, size_t> sizes[] = {{object.maps.exits, options.exit_ring_bytes},
                                               {object.maps.others, options.event_ring_bytes},
                                               {object.maps.reserve, options.reserve_ring_bytes},
                                               {object.maps.unsent, options.unsent_exits}};
  for (const auto& [map, size] : sizes) bpf_map__set_max_entries(map, static_cast<__u32>(size));
}

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

Programs::Programs(Programs&& other) noexcept
    : objects_(std::move(other.objects_)),
      loaded_(other.loaded_),
      cast_(other.cast_),
      types_(std::move(other.types_)),
      links_(std::move(other.links_)),
      adopted_(std::move(other.adopted_)),
      adopted_entries_(std::move(other.adopted_entries_)),
      upgraded_(other.upgraded_),
      detached_(std::move(other.detached_)),
      keeper_(other.keeper_),
      hash_(other.hash_),
      adopted_bss_(std::exchange(other.adopted_bss_, nullptr)),
      pids_(std::exchange(other.pids_, nullptr)) {}

Programs::~Programs() {
  if (pids_ != nullptr) ::munmap(pids_, kPidBytes);
  if (adopted_bss_ != nullptr) ::munmap(adopted_bss_, bss_bytes(maps()));
  for (const Object& object : objects_) knell_programs::destroy(object.skeleton);
}

Result<Programs> Programs::load(const Options& options, Set first, Set older, std::string& log) {
  quieten_libbpf();
  const KeepLog keep(log);
  if (::access(kTypes, R_OK) != 0) {
    return say(ENOTSUP, std::string("this kernel does not describe its types (") + kTypes +
                            "): it is built without CONFIG_DEBUG_INFO_BTF");
  }
  KNELL_TRY(check_privilege());
  KNELL_ASSIGN(const KernelTypes kernel, read_kernel_types());
  const bool readable = is_dying_readable(kernel, options);
  Programs programs;
  programs.keeper_ = options.keeper;
  programs.cast_ = kernel.has_function(kCast);
  KNELL_ASSIGN(programs.types_, file_of(kernel.cut()));
  KNELL_ASSIGN(Object * object, programs.open_object(readable ? first : first.with(older), log));
  knell_programs& maps = *object->skeleton;
  configure(maps, kernel, options);
  programs.hash_ = hash_of(maps);
  for (bpf_map* map = nullptr; (map = bpf_object__next_map(maps.obj, map)) != nullptr;)
    if (is_entry_map(map) && options.keeper == nullptr) (void)bpf_map__set_autocreate(map, false);
  KNELL_TRY(programs.load_object(*object, log));
  return programs;
}

Result<void> Programs::map_pids() {
  void* pids = ::mmap(nullptr, kPidBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                      bpf_map__fd(maps().maps.pids), 0);
  if (pids == MAP_FAILED) return errno_error("share a map with the tracing programs");
  pids_ = static_cast<std::atomic<uint64_t>*>(pids);
  return {};
}

Result<void> Programs::load_more(Set programs) {
  const Set missing = programs.without(loaded_);
  if (missing.empty()) return {};
  std::string log;
  const KeepLog keep(log);
  KNELL_TRY(check_privilege());
  KNELL_ASSIGN(Object * object, open_object(missing, log));
  auto loaded = share_maps(*object->skeleton);
  if (loaded) loaded = load_object(*object, log);
  if (!loaded) {
    knell_programs::destroy(object->skeleton);
    objects_.pop_back();
  }
  return loaded;
}

// Makes another object use the maps of the first one. It creates those that the first one has not:
// the constants, if the programs are of another version than those that were taken over.
Result<void> Programs::share_maps(knell_programs& with) {
  const bpf_object* first = maps().obj;
  bpf_map *of = nullptr, *map = nullptr;
  while ((map = bpf_object__next_map(with.obj, map)) != nullptr) {
    of = bpf_object__next_map(first, of);
    if (of == nullptr) return say(ENOTSUP, "the tracing programs differ in their maps");
    int error = 0;
    if (bpf_map__fd(of) >= 0) {
      error = bpf_map__reuse_fd(map, bpf_map__fd(of));
    } else if (is_constants(map)) {
      size_t bytes = 0;
      const void* value = bpf_map__initial_value(of, &bytes);
      error = bpf_map__set_initial_value(map, value, bytes);
    } else {
      error = bpf_map__set_autocreate(map, false);
    }
    if (error != 0) return make_error(-error, "share the maps of the tracing programs");
  }
  return {};
}

// The constants that an object created are those of all that are loaded after it.
void Programs::keep_constants(const knell_programs& of) {
  bpf_map* ours = maps().maps.rodata;
  if (of.obj == maps().obj || bpf_map__fd(ours) >= 0) return;
  (void)bpf_map__reuse_fd(ours, bpf_map__fd(of.maps.rodata));
  store_map(ours);
}

// ------------------------------------------------------------------------------ taken over

// How the names of all descriptors begin that this version can take over.
std::string Programs::layout_prefix() const {
  return std::string(kStored) + std::to_string(KNELL_LAYOUT) + '.';
}

// m: map, c: constants, p: program, e: program that enters it, l: link of the latter.
std::string Programs::name_of(char kind, const std::string& what) const {
  const bool of_version = kind == 'p' || kind == 'c';
  return layout_prefix() + (of_version ? version_prefix(hash_) : "") + kind + '.' + what;
}

void Programs::store_map(const bpf_map* map) {
  if (keeper_ == nullptr) return;
  keeper_->store(name_of(is_constants(map) ? 'c' : 'm', bpf_map__name(map)), bpf_map__fd(map),
                 kNotPolled);
}

Result<Programs> Programs::adopt(const Options& options, Set needed, Set attached) {
  quieten_libbpf();
  handover::Keeper& keeper = *options.keeper;
  if (keeper.names(kStored).empty()) return say(ENOENT, "no programs are stored");
  std::string log;
  const KeepLog keep(log);
  KNELL_ASSIGN(const KernelTypes kernel, read_kernel_types());
  Programs programs;
  programs.cast_ = kernel.has_function(kCast);
  KNELL_ASSIGN(programs.types_, file_of(kernel.cut()));
  programs.keeper_ = &keeper;
  KNELL_TRY(programs.open_object({}, log));
  configure(programs.maps(), kernel, options);
  programs.hash_ = hash_of(programs.maps());
  if (keeper.names(programs.name_of('m', "")).empty())
    return stale("they are of a version with another layout");
  KNELL_TRY(programs.adopt_maps(options));
  KNELL_ASSIGN(const auto stored, programs.take_programs());
  for (size_t i = 0; i < kPrograms; i++)
    KNELL_TRY(programs.adopt_entry(static_cast<Program>(i), stored, needed, attached));
  KNELL_TRY(programs.check_heartbeat());
  KNELL_TRY(programs.replace_programs(stored, needed.with(attached)));
  return programs;
}

Result<void> Programs::adopt_maps(const Options& options) {
  const knell_programs& skeleton = maps();
  for (bpf_map* map = nullptr; (map = bpf_object__next_map(skeleton.obj, map)) != nullptr;) {
    const std::string name = bpf_map__name(map);
    const UniqueFd fd = keeper_->take(name_of(is_constants(map) ? 'c' : 'm', name));
    if (!fd && is_constants(map)) continue;  // those of another version are stored
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

// A program or constants of any version.
struct Programs::StoredProgram {
  std::string stored_as, name;
  uint32_t id;
};

// Takes the programs of all versions, after their constants; those of this one are used. A program
// is ours only if it uses no map but ours.
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
    }
  }
  return stored;
}

// The way from the tracepoint to the program: the link is of the entry, the entry uses our map, and
// the map has one of the stored programs.
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
  // libbpf lets it also use the constants of its own version, which may have left the store.
  if (!used || !entered || !is_subset({entered->id}, used->maps))
    return stale("the entry of " + name + " is of another process");
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
      return stale("the link of " + name + " is of another program");
  }
  adopted_entries_[i] = std::move(entry);
  links_[i] = std::move(link);
  return {};
}

// From here on only programs of this version run. Each time that a tracepoint is reached, one
// version runs, since a program is replaced in one step; and all versions with this layout use the
// same maps and write the same records. So no event is lost or repeated, whatever the moment, and
// also if this process is killed in between. The other programs are dropped from the store after
// that: a process that finds a mixture needs all of them.
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

// A ring may look intact although no program writes to it any more. So a child ends, which a
// program must count. The count is there when the child can be reaped.
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

// Opens another object, of which only `programs` will be loaded.
Result<Programs::Object*> Programs::open_object(Set programs, const std::string& log) {
  const std::string types = "/proc/self/fd/" + std::to_string(types_.get());
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.btf_custom_path = types.c_str();
  knell_programs* skeleton = open_skeleton(cast_, options);
  if (skeleton == nullptr) return explain(errno, log);
  objects_.push_back({skeleton, programs});
  for (size_t i = 0; i < kPrograms; i++) {
    const auto program = static_cast<Program>(i);
    bpf_program__set_autoload(program_of(*skeleton, program), programs.has(program));
    bpf_program* entry = entry_program(*skeleton, program);
    if (entry == nullptr) continue;
    const bool enters = keeper_ != nullptr && programs.has(program) && !adopted_entries_[i];
    bpf_program__set_autoload(entry, enters);
  }
  return &objects_.back();
}

Result<void> Programs::load_object(Object& object, const std::string& log) {
  if (const int error = knell_programs::load(object.skeleton); error != 0)
    return explain(-error, log);
  if (pids_ == nullptr) {  // the first object
    KNELL_TRY(map_pids());
    const bpf_object* created = object.skeleton->obj;
    for (bpf_map* map = nullptr; (map = bpf_object__next_map(created, map)) != nullptr;)
      store_map(map);
  }
  keep_constants(*object.skeleton);
  if (keeper_ != nullptr) KNELL_TRY(store_programs(object));
  loaded_ = loaded_.with(object.programs);
  return {};
}

Result<void> Programs::store_programs(const Object& object) {
  const auto store = [&](char kind, const std::string& name, const bpf_program* program) {
    if (program == nullptr || bpf_program__fd(program) < 0) return;
    keeper_->store(name_of(kind, name), bpf_program__fd(program), kNotPolled);
  };
  for (size_t i = 0; i < kPrograms; i++) {
    const auto program = static_cast<Program>(i);
    if (!object.programs.has(program)) continue;
    const std::string name = name_of_program(*object.skeleton, program);
    store('p', name, program_of(*object.skeleton, program));
    store('e', name, entry_program(*object.skeleton, program));
    KNELL_TRY(enter(program));
  }
  return {};
}

int Programs::find(Program program) const {
  const UniqueFd& adopted = adopted_[static_cast<size_t>(program)];
  if (adopted) return adopted.get();
  for (const Object& object : objects_)
    if (object.programs.has(program)) return bpf_program__fd(program_of(*object.skeleton, program));
  return -1;
}

int Programs::find_entry(Program program) const {
  const UniqueFd& adopted = adopted_entries_[static_cast<size_t>(program)];
  if (adopted) return adopted.get();
  for (const Object& object : objects_)
    if (object.programs.has(program))
      return bpf_program__fd(entry_program(*object.skeleton, program));
  return -1;
}

// The entry goes on with our program from here on.
Result<void> Programs::enter(Program program) {
  const bpf_map* map = entry_map(maps(), program);
  if (map == nullptr) return {};
  const __u32 zero = 0;
  const int fd = find(program);
  if (bpf_map_update_elem(bpf_map__fd(map), &zero, &fd, BPF_ANY) != 0)
    return errno_error("store a tracing program in its entry");
  return {};
}

Result<void> Programs::attach(Program program, bool on) {
  UniqueFd& link = links_[static_cast<size_t>(program)];
  if (on == static_cast<bool>(link)) return {};
  const std::string name = name_of('l', name_of_program(maps(), program));
  if (!on) {
    if (keeper_ != nullptr) detached_.push_back(name);
    link.reset();
    return {};
  }
  KNELL_TRY(load_more({program}));
  if (std::erase(detached_, name) != 0) keeper_->remove(name);
  const int attached = keeper_ != nullptr ? find_entry(program) : find(program);
  link.reset(bpf_raw_tracepoint_open(nullptr, attached));
  if (!link) return errno_error("attach a tracing program");
  if (keeper_ != nullptr) keeper_->store(name, link.get(), kNotPolled);
  return {};
}

void Programs::forget_detached() {
  for (const std::string& name : detached_) keeper_->remove(name);
  detached_.clear();
}

Programs::Set Programs::attached() const {
  Set all;
  for (size_t i = 0; i < kPrograms; i++)
    if (links_[i]) all.add(static_cast<Program>(i));
  return all;
}

bool Programs::dying_readable() const { return maps().rodata->dying_readable != 0; }
volatile knell_settings& Programs::settings() {
  return reinterpret_cast<volatile knell_settings&>(maps().bss->settings);
}
const volatile knell_losses& Programs::losses() const {
  return reinterpret_cast<const volatile knell_losses&>(maps().bss->losses);
}
Programs::RingFds Programs::rings() const {
  return {bpf_map__fd(maps().maps.exits), bpf_map__fd(maps().maps.others),
          bpf_map__fd(maps().maps.reserve)};
}
int Programs::uids() const { return bpf_map__fd(maps().maps.uids); }
int Programs::roots() const { return bpf_map__fd(maps().maps.roots); }
int Programs::cgroups() const { return bpf_map__fd(maps().maps.cgroups); }
int Programs::cgroup_paths() const { return bpf_map__fd(maps().maps.cgroup_paths); }
int Programs::stored_execs() const { return bpf_map__fd(maps().maps.stored_execs); }
int Programs::unsent() const { return bpf_map__fd(maps().maps.unsent); }

int Programs::connector() const { return find(Program::kConnector); }
int32_t Programs::hierarchy() const { return maps().rodata->hierarchy; }

}  // namespace knell::source
