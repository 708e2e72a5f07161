// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/programs.h"

#include <bpf/btf.h>
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
#include <utility>

#include "base/privilege.h"

namespace knell::source {
namespace {

constexpr char kTypes[] = "/sys/kernel/btf/vmlinux";
constexpr size_t kMostLog = 256 * 1024;

thread_local std::string log_of_thread;

int keep_log(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG || log_of_thread.size() > kMostLog) return 0;
  std::va_list again;
  va_copy(again, arguments);
  const int size = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (size <= 0) return 0;
  const size_t before = log_of_thread.size();
  log_of_thread.resize(before + static_cast<size_t>(size) + 1);
  (void)std::vsnprintf(&log_of_thread[before], static_cast<size_t>(size) + 1, format, arguments);
  log_of_thread.pop_back();  // its NUL
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

std::unexpected<Error> explain(int error) {
  const std::string why = std::strerror(error);
  if (error == EPERM || error == EACCES) {
    if (log_of_thread.find("PROG LOAD LOG") == std::string::npos) {
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

struct Kernel {
  // The memory of a dying process can be read at sched_process_exit. The kernel change that moved
  // the tracepoint to before exit_mm() also gave it the argument `group_dead`, whose presence shows
  // it.
  bool dying_readable = false;
  bool can_cast = false;  // see plainly() in details.bpf.inc
};

Kernel look_at_kernel() {
  Kernel kernel;
  btf* types = btf__load_vmlinux_btf();
  if (types == nullptr) return kernel;
  const int name = btf__find_by_name_kind(types, "btf_trace_sched_process_exit", BTF_KIND_TYPEDEF);
  if (name > 0) {
    const btf_type* type = btf__type_by_id(types, static_cast<__u32>(name));
    const btf_type* pointer = btf__type_by_id(types, type->type);
    const btf_type* function = pointer == nullptr ? nullptr : btf__type_by_id(types, pointer->type);
    kernel.dying_readable =
        function != nullptr && btf_is_func_proto(function) && btf_vlen(function) >= 3;
  }
  kernel.can_cast = btf__find_by_name_kind(types, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0;
  btf__free(types);
  return kernel;
}

// The two objects are compiled from the same source and have the same programs and maps, so one
// skeleton fits both.
knell_programs* open_skeleton(bool cast) {
  if (!cast) return knell_programs::open(nullptr);
  auto* skeleton = static_cast<knell_programs*>(std::calloc(1, sizeof(knell_programs)));
  if (skeleton == nullptr) return nullptr;
  int error = knell_programs__create_skeleton(skeleton);
  if (error == 0) {
    skeleton->skeleton->data = knell_programs_cast__elf_bytes(&skeleton->skeleton->data_sz);
    error = bpf_object__open_skeleton(skeleton->skeleton, nullptr);
  }
  if (error == 0) return skeleton;
  knell_programs::destroy(skeleton);
  errno = -error;
  return nullptr;
}

}  // namespace

const std::string& bpf_log() { return log_of_thread; }

Programs::Programs(knell_programs* skeleton) : skeleton_(skeleton) {}

Programs::Programs(Programs&& other) noexcept
    : skeleton_(std::exchange(other.skeleton_, nullptr)),
      links_(std::exchange(other.links_, {})),
      pids_(std::exchange(other.pids_, nullptr)) {}

Programs::~Programs() {
  if (pids_ != nullptr) ::munmap(pids_, kPidBytes);
  for (bpf_link* link : links_) bpf_link__destroy(link);  // may be null
  knell_programs::destroy(skeleton_);                     // may be null
}

Result<Programs> Programs::load(const Options& options) {
  quieten_libbpf();
  log_of_thread.clear();
  if (::access(kTypes, R_OK) != 0) {
    return say(ENOTSUP, std::string("this kernel does not describe its types (") + kTypes +
                            "): it is built without CONFIG_DEBUG_INFO_BTF");
  }
  KNELL_TRY(check_privilege());
  const Kernel kernel = look_at_kernel();
  knell_programs* skeleton = open_skeleton(kernel.can_cast);
  if (skeleton == nullptr) return explain(errno);
  Programs programs(skeleton);
  skeleton->rodata->dying_readable =
      static_cast<__u32>(kernel.dying_readable && !options.older_kernel_for_testing);
  skeleton->rodata->hierarchy = options.hierarchy;
  // The level never changes. Do not load programs that are not needed, since the verifier takes
  // time for each.
  if (!options.raw) bpf_program__set_autoload(skeleton->progs.on_thread_exit, false);
  if (options.hierarchy == 0) bpf_program__set_autoload(skeleton->progs.on_rename_cgroup, false);
  bpf_map__set_max_entries(skeleton->maps.exits, static_cast<__u32>(options.exit_ring_bytes));
  bpf_map__set_max_entries(skeleton->maps.others, static_cast<__u32>(options.event_ring_bytes));
  bpf_map__set_max_entries(skeleton->maps.reserve, static_cast<__u32>(options.reserve_ring_bytes));
  bpf_map__set_max_entries(skeleton->maps.unsent, static_cast<__u32>(options.unsent_exits));
  if (const int error = knell_programs::load(skeleton); error != 0) return explain(-error);
  void* pids = ::mmap(nullptr, kPidBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                      bpf_map__fd(skeleton->maps.pids), 0);
  if (pids == MAP_FAILED) return errno_error("share a map with the tracing programs");
  programs.pids_ = static_cast<std::atomic<uint64_t>*>(pids);
  return programs;
}

bpf_program* Programs::find(Program program) const {
  switch (program) {
    case Program::kFork:
      return skeleton_->progs.on_fork;
    case Program::kExec:
      return skeleton_->progs.on_exec;
    case Program::kExit:
      return skeleton_->progs.on_exit;
    case Program::kThreadExit:
      return skeleton_->progs.on_thread_exit;
    case Program::kRename:
      return skeleton_->progs.on_rename;
    case Program::kSignal:
      return skeleton_->progs.on_signal;
    case Program::kDelivery:
      return skeleton_->progs.on_delivery;
    case Program::kMkdir:
      return skeleton_->progs.on_mkdir;
    case Program::kRenameCgroup:
      return skeleton_->progs.on_rename_cgroup;
  }
  return nullptr;
}

Result<void> Programs::attach(Program program, bool on) {
  bpf_link*& link = links_[static_cast<size_t>(program)];
  if (on == (link != nullptr)) return {};
  if (!on) {
    bpf_link__destroy(std::exchange(link, nullptr));
    return {};
  }
  link = bpf_program__attach_trace(find(program));
  if (link == nullptr) return errno_error("attach a tracing program");
  return {};
}

bool Programs::dying_readable() const { return skeleton_->rodata->dying_readable != 0; }
volatile knell_settings& Programs::settings() {
  return reinterpret_cast<volatile knell_settings&>(skeleton_->bss->settings);
}
const volatile knell_losses& Programs::losses() const {
  return reinterpret_cast<const volatile knell_losses&>(skeleton_->bss->losses);
}
Programs::RingFds Programs::rings() const {
  return {bpf_map__fd(skeleton_->maps.exits), bpf_map__fd(skeleton_->maps.others),
          bpf_map__fd(skeleton_->maps.reserve)};
}
int Programs::uids() const { return bpf_map__fd(skeleton_->maps.uids); }
int Programs::roots() const { return bpf_map__fd(skeleton_->maps.roots); }
int Programs::cgroups() const { return bpf_map__fd(skeleton_->maps.cgroups); }
int Programs::cgroup_paths() const { return bpf_map__fd(skeleton_->maps.cgroup_paths); }
int Programs::stored_execs() const { return bpf_map__fd(skeleton_->maps.stored_execs); }
int Programs::unsent() const { return bpf_map__fd(skeleton_->maps.unsent); }

int Programs::connector() const { return bpf_program__fd(skeleton_->progs.on_connector); }
int32_t Programs::hierarchy() const { return skeleton_->rodata->hierarchy; }

}  // namespace knell::source
