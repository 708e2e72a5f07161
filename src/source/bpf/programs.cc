// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/programs.h"

#include <bpf/libbpf.h>
#include <knell_programs.skel.h>
#include <knell_programs_cast.skel.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

}  // namespace

Programs::Programs(Programs&& other) noexcept
    : objects_(std::move(other.objects_)),
      loaded_(other.loaded_),
      cast_(other.cast_),
      types_(std::move(other.types_)),
      links_(std::exchange(other.links_, {})),
      pids_(std::exchange(other.pids_, nullptr)) {}

Programs::~Programs() {
  if (pids_ != nullptr) ::munmap(pids_, kPidBytes);
  for (bpf_link* link : links_) bpf_link__destroy(link);  // may be null
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
  const bool readable = kernel.parameters_of(kExitTracepoint).value_or(0) >= kWithGroupDead &&
                        !options.older_kernel_for_testing;
  Programs programs;
  programs.cast_ = kernel.has_function(kCast);
  KNELL_ASSIGN(programs.types_, file_of(kernel.cut()));
  KNELL_ASSIGN(Object * object, programs.open_object(readable ? first : first.with(older), log));
  knell_programs& maps = *object->skeleton;
  maps.rodata->dying_readable = static_cast<__u32>(readable);
  maps.rodata->hierarchy = options.hierarchy;
#define KNELL_SET_TYPE_ID(type) maps.rodata->type_ids.type = kernel.id_of_structure(#type);
  KNELL_TYPE_IDS(KNELL_SET_TYPE_ID)
#undef KNELL_SET_TYPE_ID
  bpf_map__set_max_entries(maps.maps.exits, static_cast<__u32>(options.exit_ring_bytes));
  bpf_map__set_max_entries(maps.maps.others, static_cast<__u32>(options.event_ring_bytes));
  bpf_map__set_max_entries(maps.maps.reserve, static_cast<__u32>(options.reserve_ring_bytes));
  bpf_map__set_max_entries(maps.maps.unsent, static_cast<__u32>(options.unsent_exits));
  KNELL_TRY(programs.load_object(*object, log));
  void* pids = ::mmap(nullptr, kPidBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                      bpf_map__fd(maps.maps.pids), 0);
  if (pids == MAP_FAILED) return errno_error("share a map with the tracing programs");
  programs.pids_ = static_cast<std::atomic<uint64_t>*>(pids);
  return programs;
}

Result<void> Programs::load_more(Set programs) {
  const Set missing = programs.without(loaded_);
  if (missing.empty()) return {};
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

// Opens another object, of which only `programs` will be loaded.
Result<Programs::Object*> Programs::open_object(Set programs, const std::string& log) {
  const std::string types = "/proc/self/fd/" + std::to_string(types_.get());
  LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = types.c_str());
  knell_programs* skeleton = open_skeleton(cast_, options);
  if (skeleton == nullptr) return explain(errno, log);
  objects_.push_back({skeleton, programs});
  for (size_t i = 0; i < kPrograms; i++) {
    const auto program = static_cast<Program>(i);
    bpf_program__set_autoload(program_of(*skeleton, program), programs.has(program));
  }
  return &objects_.back();
}

Result<void> Programs::load_object(Object& object, const std::string& log) {
  if (const int error = knell_programs::load(object.skeleton); error != 0)
    return explain(-error, log);
  loaded_ = loaded_.with(object.programs);
  return {};
}

bpf_program* Programs::find(Program program) const {
  for (const Object& object : objects_)
    if (object.programs.has(program)) return program_of(*object.skeleton, program);
  return nullptr;
}

Result<void> Programs::attach(Program program, bool on) {
  bpf_link*& link = links_[static_cast<size_t>(program)];
  if (on == (link != nullptr)) return {};
  if (!on) {
    bpf_link__destroy(std::exchange(link, nullptr));
    return {};
  }
  KNELL_TRY(load_more({program}));
  link = bpf_program__attach_trace(find(program));
  if (link == nullptr) return errno_error("attach a tracing program");
  return {};
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

int Programs::connector() const { return bpf_program__fd(find(Program::kConnector)); }
int32_t Programs::hierarchy() const { return maps().rodata->hierarchy; }

}  // namespace knell::source
