// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <knell_programs_cast.skel.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <unistd.h>

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
#include "source/bpf/skeleton.h"

namespace knell::source {
namespace {

constexpr char kTypes[] = "/sys/kernel/btf/vmlinux";
constexpr size_t kMostLog = 256 * 1024;

// Where the calling thread collects messages of libbpf; nullptr: messages are dropped.
thread_local constinit std::string* log_of_thread = nullptr;

// Collects the messages of this thread while it exists.
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

constexpr auto kNotPolled = handover::Keeper::Poll::kNo;
// How long a start waits for a slow keeper; chosen, not measured
constexpr int kMostWaitMs = 5000;

// A hash of the object. It changes with the code of the programs, even if the formats of records
// and maps stay the same.
uint64_t hash_of(const knell_programs& skeleton) {
  const auto* bytes = static_cast<const unsigned char*>(skeleton.skeleton->data);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (size_t i = 0; i < skeleton.skeleton->data_sz; i++) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

bool is_entry_map(const bpf_map* map) { return bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY; }

// Whether the memory of a dying process can be read.
bool is_dying_readable(const KernelTypes& kernel, const Programs::Options& options) {
  return kernel.parameters_of(kExitTracepoint).value_or(0) >= kWithGroupDead &&
         !options.older_kernel_for_testing;
}

// Sets the constants of an object before its maps are created or taken over.
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
  if (object.rodata->dying_readable != 0) bpf_map__set_max_entries(object.maps.ended, 1);
}

}  // namespace

// ------------------------------------------------------------------------------------- libbpf

// Collects the messages of libbpf, so that libbpf prints nothing. libbpf changes one limit of this
// process: before Linux 5.11 it raises the limit of locked memory, and ignores a failure.
//
// libbpf reads and searches all types of the kernel for the numbers of tracepoints and functions,
// which takes longer than the rest of its work. We have these numbers. So the programs are in
// sections of our own: then libbpf does not know that they are tracing programs, and does not read
// the types.
//
// The sections are registered only while programs are loaded: a process may have two copies of this
// library, and libbpf calls the function of the copy that registered a section first.
class Programs::Sections {
 public:
  Sections() : lock_(mutex()) {
    libbpf_set_print(keep_log);
    libbpf_prog_handler_opts options{};
    options.sz = sizeof options;
    options.prog_prepare_load_fn = prepare;
    // libbpf 1.1 uses freed memory after the last section is unregistered, so one always stays
    // registered.
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

// Sets the number of the kernel's function in the calls with KNELL_CAST_CALL.
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

// The numbers for the programs that the calling thread is loading.
thread_local constinit const void* numbers_of_thread = nullptr;

}  // namespace

// Called by libbpf before it loads a program.
int Programs::prepare(bpf_program* program, bpf_prog_load_opts* options, long) {
  // It is null only if libbpf calls the wrong one of two copies of this library, which load at the
  // same time.
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
      adopted_entries_(std::move(other.adopted_entries_)),
      upgraded_(other.upgraded_),
      adopting_(other.adopting_),
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
  programs.keeper_ = options.keeper;
  programs.take_numbers(kernel);
  KNELL_ASSIGN(programs.types_, file_of(kernel.cut()));
  KNELL_ASSIGN(Object * object, programs.open_object(readable ? first : first.with(older), log));
  knell_programs& maps = *object->skeleton;
  configure(maps, kernel, options);
  if (options.keeper != nullptr) programs.hash_ = hash_of(maps);
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
  const Sections sections;
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

// Makes another object use the maps of the first one. Creates the maps that the first one does not
// have: the constants, if the programs that were taken over are of another version.
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

// The constants of this object are used by all objects that are loaded after it.
void Programs::keep_constants(const knell_programs& of) {
  bpf_map* ours = maps().maps.rodata;
  if (of.obj == maps().obj || bpf_map__fd(ours) >= 0) return;
  (void)bpf_map__reuse_fd(ours, bpf_map__fd(of.maps.rodata));
  store_map(ours);
}

// ------------------------------------------------------------------------------ taken over

// The prefix of the names of all descriptors that this version can take over.
std::string Programs::layout_prefix() const {
  return std::string(kStored) + std::to_string(KNELL_LAYOUT) + '.';
}

// m: map, c: constants, p: program, e: entry of a program, l: link of an entry.
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
  handover::Keeper& keeper = *options.keeper;
  if (keeper.names(kStored).empty()) return say(ENOENT, "no programs are stored");
  std::string log;
  const KeepLog keep(log);
  KNELL_ASSIGN(const KernelTypes kernel, read_kernel_types());
  Programs programs;
  programs.take_numbers(kernel);
  KNELL_ASSIGN(programs.types_, file_of(kernel.cut()));
  programs.keeper_ = &keeper;
  programs.adopting_ = true;
  {
    const Sections sections;
    KNELL_TRY(programs.open_object({}, log));
  }
  configure(programs.maps(), kernel, options);
  programs.hash_ = hash_of(programs.maps());
  if (keeper.names(programs.name_of('m', "")).empty())
    return stale("they are from a version with another layout");
  KNELL_TRY(programs.adopt_maps(options));
  KNELL_ASSIGN(const auto stored, programs.take_programs());
  for (size_t i = 0; i < kPrograms; i++)
    KNELL_TRY(programs.adopt_entry(static_cast<Program>(i), stored, needed, attached));
  KNELL_TRY(programs.check_heartbeat());
  KNELL_TRY(programs.replace_programs(stored, needed.with(attached)));
  return programs;
}

// Opens another object, from which only `programs` will be loaded.
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
    bpf_program* entry = entry_program(*skeleton, program);
    if (entry == nullptr) continue;
    const bool enters = keeper_ != nullptr && programs.has(program) && !adopted_entries_[i];
    bpf_program__set_autoload(entry, enters);
  }
  return &objects_.back();
}

Result<void> Programs::load_object(Object& object, const std::string& log) {
  numbers_of_thread = &numbers_;
  const int error = knell_programs::load(object.skeleton);
  numbers_of_thread = nullptr;
  if (error != 0) return explain(-error, log);
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

// From here on the entry calls our program.
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
  const auto i = static_cast<size_t>(program);
  UniqueFd &link = links_[i], &detached = detached_[i];
  if (on == static_cast<bool>(link)) return {};
  if (!on) {
    UniqueFd given_up = std::exchange(link, UniqueFd());
    if (keeper_ != nullptr) detached = std::move(given_up);
    return {};
  }
  // The keeper has this link, so the program is still attached and cannot be attached twice.
  if (detached) {
    link = std::move(detached);
    return {};
  }
  KNELL_TRY(load_more({program}));
  const int attached = keeper_ != nullptr ? find_entry(program) : find(program);
  link.reset(bpf_raw_tracepoint_open(nullptr, attached));
  // The earlier process has detached the program, and the keeper has not closed the link yet.
  for (int ms = 0; !link && errno == EEXIST && adopting_ && ms < kMostWaitMs; ++ms) {
    ::usleep(1000);
    link.reset(bpf_raw_tracepoint_open(nullptr, attached));
  }
  if (!link && errno == EEXIST)
    return say(EAGAIN, "a tracing program is being detached; try again");
  if (!link) return errno_error("attach a tracing program");
  if (keeper_ != nullptr)
    keeper_->store(name_of('l', name_of_program(maps(), program)), link.get(), kNotPolled);
  return {};
}

void Programs::forget_detached() {
  adopting_ = false;
  for (size_t i = 0; i < kPrograms; i++) {
    if (!detached_[i]) continue;
    keeper_->remove(name_of('l', name_of_program(maps(), static_cast<Program>(i))));
    detached_[i].reset();
  }
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
