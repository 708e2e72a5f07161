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

constexpr char kTracepointSection[] = "knell_tp/", kFilterSection[] = "knell_filter";
constexpr std::string_view kTracepointPrefix = "btf_trace_";
constexpr std::string_view kTracepoints[] = {
    "btf_trace_sched_process_fork", "btf_trace_sched_process_exec", kExitTracepoint,
    "btf_trace_signal_generate",    "btf_trace_signal_deliver",     "btf_trace_task_rename",
    "btf_trace_cgroup_mkdir",       "btf_trace_cgroup_rename"};

std::string_view object_file(bool cast) {
  size_t size = 0;
  const void* bytes =
      cast ? knell_programs_cast__elf_bytes(&size) : knell_programs::elf_bytes(&size);
  return {static_cast<const char*>(bytes), size};
}

Result<KernelTypes> read_kernel_types() {
  std::vector<std::string_view> names(std::begin(kTracepoints), std::end(kTracepoints));
  names.push_back(kCast);
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

// Of the object: the code and the formats of records and maps.
uint64_t hash_of(const knell_programs& skeleton) {
  const auto* bytes = static_cast<const unsigned char*>(skeleton.skeleton->data);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (size_t i = 0; i < skeleton.skeleton->data_sz; i++) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

bool is_dying_readable(const KernelTypes& kernel, const Programs::Options& options) {
  return kernel.parameters_of(kExitTracepoint).value_or(0) >= kWithGroupDead &&
         !options.older_kernel_for_testing;
}

void size_maps(const knell_programs& skeleton, const Programs::Options& options, bool readable) {
  const std::pair<bpf_map*, size_t> sizes[] = {{skeleton.maps.exits, options.exit_ring_bytes},
                                               {skeleton.maps.others, options.event_ring_bytes},
                                               {skeleton.maps.reserve, options.reserve_ring_bytes},
                                               {skeleton.maps.unsent, options.unsent_exits}};
  for (const auto& [map, size] : sizes) bpf_map__set_max_entries(map, static_cast<__u32>(size));
  if (readable) bpf_map__set_max_entries(skeleton.maps.ended, 1);
}

size_t bss_bytes(const knell_programs& skeleton) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bpf_map__value_size(skeleton.maps.bss) + page - 1) / page * page;
}

std::unexpected<Error> stale(std::string why) {
  return say(ESTALE, "the stored programs cannot be used: " + std::move(why));
}

}  // namespace

// ------------------------------------------------------------------------------------- libbpf

// Collects the messages of libbpf, so that it prints nothing. libbpf changes one limit of this
// process: it raises that of locked memory, before Linux 5.11 only, and ignores a failure.
//
// libbpf reads and searches all types of the kernel for the numbers of tracepoints and functions,
// which takes longer than all else that it does. We have these numbers, so the programs have
// sections of our own, and as long as libbpf does not know that they are tracing programs, it does
// not read the types.
//
// They are registered only while programs are loaded: a process may have two copies of this
// library, and libbpf calls the function of the first that registered a section.
class Programs::Sections {
 public:
  Sections() : lock_(mutex()) {
    libbpf_set_print(keep_log);
    libbpf_prog_handler_opts options{};
    options.sz = sizeof options;
    options.prog_prepare_load_fn = prepare;
    // libbpf 1.1 uses freed memory after the last section is unregistered: one always stays.
    [[maybe_unused]] static const int kept =
        libbpf_register_prog_handler("knell_unused", BPF_PROG_TYPE_UNSPEC, {}, nullptr);
    tracepoint_ = libbpf_register_prog_handler(kTracepointSection, BPF_PROG_TYPE_RAW_TRACEPOINT,
                                               BPF_TRACE_RAW_TP, &options);
    filter_ =
        libbpf_register_prog_handler(kFilterSection, BPF_PROG_TYPE_SOCKET_FILTER, {}, &options);
  }
  Sections(const Sections&) = delete;
  Sections& operator=(const Sections&) = delete;
  ~Sections() {
    if (tracepoint_ >= 0) libbpf_unregister_prog_handler(tracepoint_);
    if (filter_ >= 0) libbpf_unregister_prog_handler(filter_);
  }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  std::lock_guard<std::mutex> lock_;
  int tracepoint_ = -1, filter_ = -1;
};

namespace {

// Fills in the number of the kernel's function in the calls that stand for it.
int fill_in_casts(bpf_program* program, uint32_t cast) {
  const bpf_insn* first = bpf_program__insns(program);
  std::vector<bpf_insn> all(first, first + bpf_program__insn_cnt(program));
  bool any = false;
  for (bpf_insn& one : all) {
    if (one.code != (BPF_JMP | BPF_CALL) || one.src_reg != 0 || one.imm != KNELL_CAST_CALL)
      continue;
    if (cast == 0) return -ESRCH;
    one.src_reg = BPF_PSEUDO_KFUNC_CALL;
    one.imm = static_cast<int32_t>(cast);
    any = true;
  }
  return any ? bpf_program__set_insns(program, all.data(), all.size()) : 0;
}

// The numbers for the programs that the calling thread loads.
thread_local constinit const void* numbers_of_thread = nullptr;

}  // namespace

// Called by libbpf before it loads a program.
int Programs::prepare(bpf_program* program, bpf_prog_load_opts* options, long) {
  // It is null only if libbpf calls another copy of this library, which loads at the same time.
  if (numbers_of_thread == nullptr) return -ESRCH;
  const auto& numbers = *static_cast<const KernelNumbers*>(numbers_of_thread);
  try {
    if (const int error = fill_in_casts(program, numbers.cast); error != 0) return error;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
  const std::string_view section = bpf_program__section_name(program);
  if (!section.starts_with(kTracepointSection)) return 0;
  const std::string_view name = section.substr(std::size(kTracepointSection) - 1);
  for (size_t i = 0; i < std::size(kTracepoints); ++i)
    if (kTracepoints[i].substr(kTracepointPrefix.size()) == name)
      options->attach_btf_id = numbers.tracepoints[i];
  if (options->attach_btf_id == 0) return -ESRCH;
  return bpf_program__set_type(program, BPF_PROG_TYPE_TRACING);
}

void Programs::take_numbers(const KernelTypes& kernel) {
  numbers_.cast = kernel.id_of_function(kCast);
  for (const std::string_view name : kTracepoints)
    numbers_.tracepoints.push_back(kernel.id_of_definition(name));
}

// -------------------------------------------------------------------------------------- loading

Programs::Programs(Programs&& other) noexcept
    : objects_(std::move(other.objects_)),
      loaded_(other.loaded_),
      numbers_(std::move(other.numbers_)),
      types_(std::move(other.types_)),
      links_(std::move(other.links_)),
      adopted_(std::move(other.adopted_)),
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
  const Sections sections;
  const KeepLog keep(log);
  if (::access(kTypes, R_OK) != 0) {
    return say(ENOTSUP, std::string("this kernel does not describe its types (") + kTypes +
                            "): it is built without CONFIG_DEBUG_INFO_BTF");
  }
  KNELL_TRY(check_privilege());
  KNELL_ASSIGN(const KernelTypes kernel, read_kernel_types());
  const bool readable = is_dying_readable(kernel, options);
  Programs programs;
  programs.take_numbers(kernel);
  KNELL_ASSIGN(programs.types_, file_of(kernel.cut()));
  KNELL_ASSIGN(Object * object, programs.open_object(readable ? first : first.with(older), log));
  knell_programs& maps = *object->skeleton;
  maps.rodata->dying_readable = static_cast<__u32>(readable);
  maps.rodata->hierarchy = options.hierarchy;
#define KNELL_SET_TYPE_ID(type) maps.rodata->type_ids.type = kernel.id_of_structure(#type);
  KNELL_TYPE_IDS(KNELL_SET_TYPE_ID)
#undef KNELL_SET_TYPE_ID
  size_maps(maps, options, readable);
  programs.keeper_ = options.keeper;
  if (programs.keeper_ != nullptr) programs.hash_ = hash_of(maps);
  KNELL_TRY(programs.load_object(*object, log));
  KNELL_TRY(programs.map_pids());
  programs.store_maps();
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
  const Sections sections;
  std::string log;
  const KeepLog keep(log);
  KNELL_TRY(check_privilege());
  KNELL_ASSIGN(Object * object, open_object(missing, log));
  const bpf_object* first = objects_.front().skeleton->obj;
  bpf_map *of = nullptr, *map = nullptr;
  while ((map = bpf_object__next_map(object->skeleton->obj, map)) != nullptr) {
    of = bpf_object__next_map(first, of);
    if (of == nullptr || bpf_map__reuse_fd(map, bpf_map__fd(of)) != 0)
      return errno_error("share the maps of the tracing programs");
  }
  auto loaded = load_object(*object, log);
  if (!loaded) {
    knell_programs::destroy(object->skeleton);
    objects_.pop_back();
  }
  return loaded;
}

// ------------------------------------------------------------------------------ taken over

std::string Programs::name_of(char kind, const char* what) const {
  std::array<char, 17> hash{};
  (void)std::snprintf(hash.data(), hash.size(), "%016llx", static_cast<unsigned long long>(hash_));
  return std::string(kStored) + hash.data() + '.' + kind + '.' + what;
}

void Programs::store_maps() {
  if (keeper_ == nullptr) return;
  const bpf_object* object = maps().obj;
  for (bpf_map* map = nullptr; (map = bpf_object__next_map(object, map)) != nullptr;)
    keeper_->store(name_of('m', bpf_map__name(map)), bpf_map__fd(map), kNotPolled);
}

Result<Programs> Programs::adopt(const Options& options, Set needed, Set attached) {
  const Sections sections;
  handover::Keeper& keeper = *options.keeper;
  if (keeper.names(kStored).empty()) return say(ENOENT, "no programs are stored");
  std::string log;
  const KeepLog keep(log);
  KNELL_ASSIGN(const KernelTypes kernel, read_kernel_types());
  Programs programs;
  programs.take_numbers(kernel);
  KNELL_ASSIGN(programs.types_, file_of(kernel.cut()));
  programs.keeper_ = &keeper;
  KNELL_TRY(programs.open_object({}, log));
  programs.hash_ = hash_of(programs.maps());
  if (keeper.names(programs.name_of('m', "")).empty()) return stale("they are of another version");
  size_maps(programs.maps(), options, is_dying_readable(kernel, options));
  KNELL_TRY(programs.adopt_maps(keeper, options));
  KNELL_TRY(programs.adopt_programs(keeper, needed, attached));
  KNELL_TRY(programs.check_heartbeat());
  return programs;
}

Result<void> Programs::adopt_maps(handover::Keeper& keeper, const Options& options) {
  const knell_programs& skeleton = maps();
  for (bpf_map* map = nullptr; (map = bpf_object__next_map(skeleton.obj, map)) != nullptr;) {
    const std::string name = bpf_map__name(map);
    const UniqueFd fd = keeper.take(name_of('m', name.c_str()));
    if (!fd) return stale("the map " + name + " is missing");
    bpf_map_info info{};
    __u32 bytes = sizeof info;
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &bytes) != 0 || info.type != bpf_map__type(map) ||
        info.key_size != bpf_map__key_size(map) || info.value_size != bpf_map__value_size(map) ||
        (bpf_map__max_entries(map) != 0 && info.max_entries != bpf_map__max_entries(map)))
      return stale("the map " + name + " has another type or size");
    if (bpf_map__reuse_fd(map, fd.get()) != 0) return errno_error("take over a map");
  }
  // libbpf maps the memory of the programs only when it loads them.
  const __u32 zero = 0;
  if (bpf_map_lookup_elem(bpf_map__fd(skeleton.maps.rodata), &zero, skeleton.rodata) != 0)
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

// A program is ours only if it uses no map but ours, and a link only if it is of our program.
Result<void> Programs::adopt_programs(handover::Keeper& keeper, Set needed, Set attached) {
  std::vector<__u32> our_maps;
  for (bpf_map* map = nullptr; (map = bpf_object__next_map(maps().obj, map)) != nullptr;) {
    bpf_map_info info{};
    __u32 bytes = sizeof info;
    if (bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &bytes) == 0) our_maps.push_back(info.id);
  }
  for (size_t i = 0; i < kPrograms; i++) {
    const auto program = static_cast<Program>(i);
    const std::string name = bpf_program__name(program_of(maps(), program));
    UniqueFd fd = keeper.take(name_of('p', name.c_str()));
    UniqueFd link = keeper.take(name_of('l', name.c_str()));
    if (!fd && needed.has(program)) return stale("the program " + name + " is missing");
    if (!link && attached.has(program)) return stale("the link of " + name + " is missing");
    if (!fd) continue;
    std::array<__u32, 64> used{};
    bpf_prog_info info{};
    info.nr_map_ids = used.size();
    info.map_ids = reinterpret_cast<uintptr_t>(used.data());
    __u32 bytes = sizeof info;
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &bytes) != 0 || info.nr_map_ids > used.size())
      return stale("the program " + name + " cannot be examined");
    for (__u32 at = 0; at < info.nr_map_ids; at++)
      if (std::ranges::find(our_maps, used[at]) == our_maps.end())
        return stale("the program " + name + " uses maps of another process");
    if (link) {
      bpf_link_info of{};
      bytes = sizeof of;
      if (bpf_obj_get_info_by_fd(link.get(), &of, &bytes) != 0 || of.prog_id != info.id)
        return stale("the link of " + name + " is of another program");
    }
    adopted_[i] = std::move(fd);
    links_[i] = std::move(link);
    loaded_.add(program);
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
  knell_programs* skeleton = open_skeleton(numbers_.cast != 0, options);
  if (skeleton == nullptr) return explain(errno, log);
  objects_.push_back({skeleton, programs});
  for (size_t i = 0; i < kPrograms; i++) {
    const auto program = static_cast<Program>(i);
    bpf_program__set_autoload(program_of(*skeleton, program), programs.has(program));
  }
  return &objects_.back();
}

Result<void> Programs::load_object(Object& object, const std::string& log) {
  numbers_of_thread = &numbers_;
  const int error = knell_programs::load(object.skeleton);
  numbers_of_thread = nullptr;
  if (error != 0) return explain(-error, log);
  loaded_ = loaded_.with(object.programs);
  if (keeper_ == nullptr) return {};
  for (size_t i = 0; i < kPrograms; i++) {
    const auto program = static_cast<Program>(i);
    if (!object.programs.has(program)) continue;
    const bpf_program* made = program_of(*object.skeleton, program);
    keeper_->store(name_of('p', bpf_program__name(made)), bpf_program__fd(made), kNotPolled);
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

Result<void> Programs::attach(Program program, bool on) {
  UniqueFd& link = links_[static_cast<size_t>(program)];
  if (on == static_cast<bool>(link)) return {};
  const std::string name =
      name_of('l', bpf_program__name(program_of(*objects_.front().skeleton, program)));
  if (!on) {
    if (keeper_ != nullptr) keeper_->remove(name);
    link.reset();
    return {};
  }
  KNELL_TRY(load_more({program}));
  link.reset(bpf_raw_tracepoint_open(nullptr, find(program)));
  if (!link) return errno_error("attach a tracing program");
  if (keeper_ != nullptr) keeper_->store(name, link.get(), kNotPolled);
  return {};
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
