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
#include <string_view>

#include "base/clock.h"
#include "base/container.h"
#include "base/privilege.h"
#include "base/time_namespace.h"
#include "base/unique_fd.h"
#include "client/connection_to_server.h"
#include "event/mask.h"
#include "event/printable.h"
#include "event/via.h"
#include "lib/abi.h"
#include "process/cgroup.h"
#include "process/proc_reader.h"
#include "source/registry.h"

namespace knell::lib {
namespace {

bool has_capability(int capability) {
  return ((effective_capabilities().value_or(0) >> capability) & 1) != 0;
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

  void sources() {
    for (const source::Kind& kind : source::kinds()) {
      const std::vector<source::Finding> findings = kind.examine();
      for (const source::Finding& finding : findings)
        report(finding.level, finding.subject, finding.text, finding.fix);
      if (!findings.front().works()) continue;
      works_ = true;
      connector_ |= kind.via == KNELL_VIA_CONNECTOR;
      bpf_ |= kind.via == KNELL_VIA_BPF;
    }
    if (!connector_) return;
    report(KNELL_FINDING_OK, "types",
           bpf_ ? "fork,exec,exit,comm from bpf, the rest from the connector"
                : "all of " + event::mask_text(KNELL_EVENT_ALL & ~KNELL_EVENT_NONZERO_EXIT) +
                      " from the connector");
  }

  // What knelld took over when it was last started; null in the status of most users.
  void restart(std::string_view status) {
    constexpr std::string_view kLost = R"("restart":{"lost":true,)", kText = R"("text":")";
    const size_t begin = status.find(R"("restart":{)");
    if (begin == std::string_view::npos) return;
    const bool lost = status.substr(begin).starts_with(kLost);
    const size_t text = status.find(kText, begin);
    if (text == std::string_view::npos) return;
    const std::string_view rest = status.substr(text + kText.size());
    report(lost ? KNELL_FINDING_WARN : KNELL_FINDING_OK, "restart",
           std::string(lost ? "events were lost when knelld was restarted: " : "") +
               std::string(rest.substr(0, rest.find('"'))));
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
      return report(KNELL_FINDING_NOTE, "knelld", "not checked: KNELL_SOCKET is empty");
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
    works_ = true;
    report(KNELL_FINDING_OK, "knelld",
           "version " + event::printable(hello->origin.knell) + ", via " +
               event::via_name(hello->origin.subscription.via) + "; shows you " +
               shown_by(hello->scope));
    if (const auto status = connection->status(); status) restart(*status);
  }

  bool works() const { return works_; }

 private:
  void report(uint32_t level, const char* subject, const std::string& text,
              const std::string& fix = "") {
    if (stopped_) return;
    const knell_finding finding{sizeof(knell_finding), level, subject, text.c_str(),
                                fix.empty() ? nullptr : fix.c_str()};
    stopped_ = on_finding_(&finding, context_) != 0;
  }

  void report_no_descriptors(const char* subject) {
    report(KNELL_FINDING_NO, subject, "not checked: no descriptors left",
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
  bool bpf_ = false, connector_ = false;
  bool works_ = false;  // a source or the daemon works
};

}  // namespace
}  // namespace knell::lib

int knell_doctor(int (*on_finding)(const knell_finding*, void*), void* context) {
  return knell::lib::guarded([&]() -> int {
    if (on_finding == nullptr)
      return knell::lib::store_error({EINVAL, "on_finding must not be NULL", true});
    knell::lib::Examination examination(on_finding, context);
    examination.sources();
    examination.details();
    examination.clocks();
    examination.daemon();
    if (examination.works()) return 0;
    return knell::lib::store_error(
        {ENOTSUP, "process events cannot be observed here: see knell doctor", true});
  });
}
