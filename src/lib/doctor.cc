// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell_doctor(): what works on this machine for this user, and how to fix the rest. Each feature
// is tried; no versions are compared.
#include <fcntl.h>
#include <knell/knell.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/clock.h"
#include "base/container.h"
#include "base/pidfd.h"
#include "base/privilege.h"
#include "base/time_namespace.h"
#include "base/unique_fd.h"
#include "client/connection_to_server.h"
#include "event/mask.h"
#include "event/printable.h"
#include "lib/abi.h"
#include "source/bpf/diagnosis.h"
#include "source/connector/diagnosis.h"
#include "process/cgroup.h"
#include "process/proc_reader.h"

namespace knell::lib {
namespace {

constexpr uint64_t kAmpleRoom =
    10'000;  // a burst of as many exits as a large database has processes

bool has_capability(int capability) {
  return ((effective_capabilities().value_or(0) >> capability) & 1) != 0;
}

// Whether there are too few free descriptors, so that checks fail. The check of pidfds needs two
// at a time, reading a folder of /proc one.
bool descriptors_ran_out() {
  const auto open_one = [] { return UniqueFd(::open("/", O_PATH | O_CLOEXEC)); };
  const UniqueFd first = open_one();
  const UniqueFd second = first ? open_one() : UniqueFd();
  return !second && (errno == EMFILE || errno == ENFILE);
}

bool is_proc(const char* path) {
  struct statfs system{};
  return ::statfs(path, &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

// With hidepid=1 the folder of another user's process exists but cannot be read; with higher values
// it does not exist. Process 1 exists in every pid namespace.
bool hides_others() {
  const UniqueFd fd(::open("/proc/1/stat", O_RDONLY | O_CLOEXEC));
  if (!fd) return errno == EACCES || errno == EPERM || errno == ENOENT;
  char byte = 0;
  return ::read(fd.get(), &byte, 1) < 0 && (errno == EACCES || errno == EPERM);
}

class Examination {
 public:
  Examination(int (*on_finding)(const knell_finding*, void*), void* context)
      : on_finding_(on_finding), context_(context) {}

  void connector() {
    found_ = source::diagnose(0);
    if (!found_.acked) {
      report(KNELL_FINDING_NO, "connector", found_.obstacle.reason, found_.obstacle.advice);
      return;
    }
    report(KNELL_FINDING_OK, "connector",
           found_.kernel_filter
               ? "kernel filter; all types, every user's processes"
               : "classic BPF filter (this kernel has none of its own); all types, "
                 "every user's processes");
    report(KNELL_FINDING_OK, "types",
           bpf_ ? "fork,exec,exit,comm from bpf, the rest from the connector"
                : "all of " + event::mask_text(KNELL_EVENT_ALL & ~KNELL_EVENT_NONZERO_EXIT) +
                      " from the connector");
  }

  void buffer() {
    if (!found_.acked) return;
    const source::Buffer& buffer = found_.buffer;
    const std::string text = "room for " + std::to_string(found_.room_events) +
                             " exits in a burst (" + std::to_string(buffer.bytes >> 20) +
                             " MiB as the kernel counts)";
    if (found_.room_events >= kAmpleRoom) return report(KNELL_FINDING_OK, "buffer", text);
    report(KNELL_FINDING_WARN, "buffer", text, "sysctl net.core.rmem_max=67108864");
  }

  void pidfd() {
    const PidfdFeatures features = pidfd_features();
    const bool no_descriptors = !features.exit_info && descriptors_ran_out();
    pidfds_ = features.open && !no_descriptors;
    if (no_descriptors) return report_no_descriptors("pidfd");
    if (!features.open)
      return report(KNELL_FINDING_NO, "pidfd", "this kernel has none", "Linux 5.3 or later");
    if (features.exit_info)
      return report(KNELL_FINDING_OK, "pidfd",
                    "status of a process held, even after it was reaped");
    report(KNELL_FINDING_WARN, "pidfd",
           features.info ? "the death of any process; the status of own children and zombies only"
                         : "the death of any process; the status of own children and zombies only "
                           "(no PIDFD_GET_INFO)",
           "Linux 6.15 or later");
  }

  void clocks() {
    const ClockOffsets& offsets = clock_offsets();
    if (!offsets.known)
      report(KNELL_FINDING_WARN, "clock",
             "in a time namespace that /proc does not describe: times and starts are shifted",
             "run knell in a process born in the namespace (unshare -T --fork)");
    else if (!starts_are_exact(offsets))
      report(
          KNELL_FINDING_WARN, "clock",
          "in a time namespace shifted by part of a clock tick: ids read from /proc may be one off",
          "run knell outside, or connect to a knelld outside");
  }

  void bpf() {
    const source::BpfDiagnosis found = source::diagnose_bpf();
    bpf_ = found.works;
    if (found.works) {
      report(
          KNELL_FINDING_OK, "bpf",
          "fork, exec, exit and comm, filtered in the kernel, with arguments and who killed whom");
      return;
    }
    report(KNELL_FINDING_NO, "bpf", found.reason, found.advice);
    // The last lines of the loader's log say why it failed.
    constexpr size_t kMostLog = 4000;
    std::string_view log = found.log;
    if (log.size() > kMostLog) log.remove_prefix(log.find('\n', log.size() - kMostLog) + 1);
    while (!log.empty()) {
      const size_t end = std::min(log.find('\n'), log.size());
      if (end > 0) report(KNELL_FINDING_NOTE, "bpf", std::string(log.substr(0, end)));
      log.remove_prefix(std::min(end + 1, log.size()));
    }
  }

  void details() {
    const auto proc = process::ProcReader::open();
    if (descriptors_ran_out()) return report_no_descriptors("details");
    if (!proc) return report(KNELL_FINDING_WARN, "details", proc.error().message(), "mount /proc");
    if (!is_proc("/proc"))
      return report(KNELL_FINDING_WARN, "details", "/proc is not a proc file system",
                    "mount /proc");
    report(KNELL_FINDING_OK, "details",
           "full details read forks and execs too, about " +
               std::to_string(cost_of_an_exec_us(*proc)) +
               " us of CPU an exec here; --details status reads none");
    if (!has_capability(CAP_SYS_PTRACE))
      report(KNELL_FINDING_WARN, "privilege", "exe and cwd of other users' processes stay unknown",
             "CAP_SYS_PTRACE, or run it as root");
    if (hides_others())
      report(KNELL_FINDING_WARN, "hidepid",
             "/proc hides other users' processes: their details stay unknown",
             "run it as root, or in the group of /proc's gid= option");
  }

  void daemon() {
    const std::string path = client::socket_path();
    if (path.empty())
      return report(KNELL_FINDING_NOTE, "knelld", "not asked: KNELL_SOCKET is empty");
    auto connection = client::ConnectionToServer::connect(path);
    if (!connection) {
      const int error = connection.error().code;
      const bool not_running = error == ENOENT || error == ECONNREFUSED;
      const std::string text =
          error == ENOENT ? path + ": not there" : connection.error().message();
      return report(KNELL_FINDING_NO, "knelld", text, not_running ? start_daemon_hint(path) : "");
    }
    const auto hello = connection->exchange_hellos();
    if (!hello)
      return report(KNELL_FINDING_NO, "knelld", hello.error().message(),
                    "systemctl restart knelld");
    daemon_ = true;
    report(KNELL_FINDING_OK, "knelld",
           "version " + event::printable(hello->origin.knell) + ", via " +
               (hello->origin.subscription.via == KNELL_VIA_BPF ? "bpf" : "the connector") +
               "; shows you " + shown_by(hello->scope));
  }

  bool works() const { return bpf_ || found_.acked || pidfds_ || daemon_; }

 private:
  void report(uint32_t level, const char* subject, const std::string& text,
              const std::string& fix = "") {
    if (stopped_) return;
    const knell_finding finding{sizeof(knell_finding), level, subject, text.c_str(),
                                fix.empty() ? nullptr : fix.c_str()};
    stopped_ = on_finding_(&finding, context_) != 0;
  }

  void report_no_descriptors(const char* subject) {
    report(KNELL_FINDING_NO, subject, "not looked at: no descriptors left",
           "raise the limit of open files (ulimit -n)");
  }

  static std::string shown_by(const wire::Scope& scope) {
    if ((scope.flags & wire::Scope::kEverything) != 0) return "all processes";
    const bool own = (scope.flags & wire::Scope::kOwnUid) != 0;
    const bool inside = (scope.flags & wire::Scope::kOnePidNamespace) != 0;
    return std::string(own ? "your own processes" : "the processes") +
           (inside ? " of this pid namespace" : "");
  }

  // The time to read the details of a process after its exec, measured with this process.
  static uint64_t cost_of_an_exec_us(const process::ProcReader& proc) {
    constexpr int kTimes = 32;
    std::string buffer;
    const uint64_t from = system_clock().monotonic_ns();
    for (int i = 0; i < kTimes; ++i) {
      const process::ProcFolder folder = proc.folder(::getpid());
      if (!folder) return 0;
      (void)folder.image();
      (void)folder.stat();
      (void)process::cgroup_path(folder.cgroup_text(buffer));
    }
    return (system_clock().monotonic_ns() - from) / kTimes / 1000 + 1;
  }

  int (*on_finding_)(const knell_finding*, void*);
  void* context_;
  bool stopped_ = false;
  bool pidfds_ = false, bpf_ = false, daemon_ = false;
  source::Diagnosis found_;
};

}  // namespace
}  // namespace knell::lib

int knell_doctor(int (*on_finding)(const knell_finding*, void*), void* context) {
  const knell::lib::ErrnoGuard keep_errno;
  if (on_finding == nullptr)
    return knell::lib::store_error({EINVAL, "on_finding must not be NULL", true});
  knell::lib::Examination examination(on_finding, context);
  examination.bpf();
  examination.connector();
  examination.buffer();
  examination.pidfd();
  examination.details();
  examination.clocks();
  examination.daemon();
  if (examination.works()) return 0;
  return knell::lib::store_error(
      {ENOTSUP, "process events cannot be observed here: see knell doctor", true});
}
