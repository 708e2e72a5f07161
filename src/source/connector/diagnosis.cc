// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/diagnosis.h"

#include <fcntl.h>
#include <knell/cn_proc.h>
#include <sys/stat.h>

#include <array>
#include <string_view>

#include "filter/classic_bpf.h"
#include "source/connector/listener_count.h"

namespace knell::source {
namespace {

constexpr uint64_t kInitialPid = 0xEFFFFFFC;   // PROC_PID_INIT_INO, linux/proc_ns.h
constexpr uint64_t kInitialUser = 0xEFFFFFFD;  // PROC_USER_INIT_INO

constexpr const char* kFromTheHost =
    "run it on the host, or share the host's network, pid and user namespaces "
    "(docker run --network=host --pid=host)";

uint64_t inode(const char* path) {
  struct stat found{};
  return ::stat(path, &found) == 0 ? found.st_ino : 0;
}

std::optional<bool> listed_in_proc() {
  const UniqueFd file(::open("/proc/net/connector", O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::array<char, 4096> text{};
  const ssize_t size = ::read(file.get(), text.data(), text.size());
  if (size < 0) return std::nullopt;
  return std::string_view(text.data(), static_cast<size_t>(size)).contains("cn_proc");
}

std::optional<Obstacle> foreign_namespace(const Environment& here) {
  const char* which = nullptr;
  if (!here.initial_user()) which = "user";
  if (!here.initial_pid()) which = "pid";
  if (which == nullptr) return std::nullopt;
  return Obstacle{EPROTONOSUPPORT,
                  std::string("the kernel sends process events to the initial ") + which +
                      " namespace only, and this process is in another one",
                  kFromTheHost};
}

Obstacle not_built_in(const char* what) {
  return {EPROTONOSUPPORT, std::string("this kernel was built without ") + what,
          "use a kernel with CONFIG_CONNECTOR=y and CONFIG_PROC_EVENTS=y"};
}

Obstacle no_ack(const Environment& here) {
  if (const auto foreign = foreign_namespace(here)) return *foreign;
  if (here.listed == false) return not_built_in("process events (CONFIG_PROC_EVENTS)");
  return {EPROTONOSUPPORT,
          "the connector does not answer: other programs brought its count of listeners below one, "
          "so it sends no events",
          "end programs that use the connector and start knell watch, which raises it again; else "
          "reboot",
          true};
}

}  // namespace

bool Environment::initial_pid() const {
  return namespaces.pid == 0 || namespaces.pid == kInitialPid;
}
bool Environment::initial_user() const {
  return namespaces.user == 0 || namespaces.user == kInitialUser;
}

Environment read_environment() {
  return {{inode("/proc/self/ns/net"), inode("/proc/self/ns/pid"), inode("/proc/self/ns/user")},
          listed_in_proc()};
}

Obstacle explain(Step step, const Error& error, const Environment& here) {
  if (step == Step::kOpen && (error.code == EPROTONOSUPPORT || error.code == EAFNOSUPPORT)) {
    return not_built_in("the connector (CONFIG_CONNECTOR)");
  }
  if (step == Step::kJoin && error.code == EPERM) {
    if (const auto foreign = foreign_namespace(here)) return *foreign;
    return {EPERM,
            "this kernel lets only root listen to process events (every user from Linux 6.6 on)",
            "run it as root, or with CAP_NET_ADMIN"};
  }
  if (step == Step::kRequest && error.code == ECONNREFUSED) {
    return {EPROTONOSUPPORT,
            "the kernel sends process events to the initial network namespace only, and this "
            "process is in another one",
            kFromTheHost};
  }
  if (step == Step::kAck) return no_ack(here);
  return {error.code, error.message(),
          error.code == EMFILE ? "raise the limit of open files (ulimit -n)" : ""};
}

std::unexpected<Error> obstacle_error(const Obstacle& obstacle) {
  if (obstacle.advice.empty()) return say(obstacle.code, obstacle.reason);
  return say(obstacle.code, obstacle.reason + "; " + obstacle.advice);
}

Diagnosis diagnose(size_t buffer_bytes) {
  const Environment here = read_environment();
  Diagnosis found;
  found.initial_pid = here.initial_pid();
  found.initial_user = here.initial_user();
  const auto stuck = [&](Step step, const Error& error) {
    found.obstacle = explain(step, error, here);
    found.count_below_one = found.obstacle.count_below_one;
    return found;
  };
  const auto fd = open_connector();
  if (!fd) return stuck(Step::kOpen, fd.error());
  found.buffer = size_buffer(fd->get(), buffer_bytes != 0 ? buffer_bytes : kDefaultBufferBytes);
  found.room_events = found.buffer.bytes / kEventCharge;
  constexpr uint32_t kRare = KNELL_EVENT_COREDUMP;
  if (const auto attached = attach_filter(fd->get(), filter::connector_filter(kRare, false));
      !attached) {
    return stuck(Step::kOpen, attached.error());
  }
  if (const auto joined = join_events(fd->get()); !joined)
    return stuck(Step::kJoin, joined.error());
  const auto probe = ConnectorProbe::open();
  if (!probe) return stuck(Step::kOpen, probe.error());
  const auto answer = subscribe(fd->get(), kRare, *probe);
  if (!answer) {
    if (answer.error().code == ECONNREFUSED) found.initial_net = false;
    return stuck(Step::kRequest, answer.error());
  }
  send_request(fd->get(), KNELL_MCAST_IGNORE, std::nullopt);
  found.initial_net = true;
  found.acked = !answer->silent();
  found.kernel_filter = answer->kernel_filter;
  found.present = found.acked || here.listed != false;
  return found.acked ? found : stuck(Step::kAck, {});
}

std::vector<Finding> examine_connector() {
  const Diagnosis found = diagnose(0);
  if (!found.acked)
    return {{KNELL_FINDING_NO, "connector", found.obstacle.reason, found.obstacle.advice}};
  const std::string filter = found.kernel_filter
                                 ? "kernel filter"
                                 : "classic BPF filter (this kernel has none of its own)";
  std::vector<Finding> findings{
      {KNELL_FINDING_OK, "connector", filter + "; all types, every user's processes"}};
  // A burst of as many exits as a large database has processes.
  constexpr uint64_t kAmpleRoom = 10'000;
  const std::string room = "room for " + std::to_string(found.room_events) + " exits in a burst (" +
                           std::to_string(found.buffer.bytes >> 20) + " MiB as the kernel counts)";
  if (found.room_events >= kAmpleRoom)
    findings.push_back({KNELL_FINDING_OK, "buffer", room});
  else
    findings.push_back({KNELL_FINDING_WARN, "buffer", room, "sysctl net.core.rmem_max=67108864"});
  return findings;
}

}  // namespace knell::source
