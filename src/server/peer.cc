// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What a client may see; the first rule applies together with one of the others:
//
//   1. A client in another pid namespace than that of knelld sees the processes in its namespace,
//      with their pids there. A descriptor of the namespace is open as long as the client is
//      connected, since the kernel reuses the inode number of a namespace that has ended. Events
//      with a timestamp before the descriptor was opened are not sent to this client.
//   2. Root, and the configured users and groups, see the processes of every user. In another pid
//      namespace so does the owner of its user namespace: the user who runs a container sees all
//      processes of the container.
//   3. Any other client sees the processes of its own uid.
//
// The credentials are those of connect(2). A process that connects, drops its privileges and passes
// the descriptor on passes on what it may see, as with any descriptor.
#include "server/peer.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/pidfd.h"
#include "base/proc_stat.h"
#include "base/proc_status.h"

namespace knell::server {
namespace {

// These constants are missing in Debian 12's headers.
constexpr int kSoPeerPidfd = 77;                        // SO_PEERPIDFD, Linux 6.5
constexpr unsigned long kGetPidFromPidns = 0x8004b706;  // NS_GET_PID_FROM_PIDNS, Linux 6.11

constexpr size_t kMostGroups = 65536;  // NGROUPS_MAX

Result<std::vector<gid_t>> groups_of(int socket) {
  std::vector<gid_t> groups(32);
  while (true) {
    auto bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes) == 0) {
      groups.resize(bytes / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE || groups.size() >= kMostGroups)
      return errno_error("get the groups of a client");
    groups.resize(kMostGroups);
  }
}

std::string read_comm(pid_t pid) {
  const UniqueFd fd(
      ::open(("/proc/" + std::to_string(pid) + "/comm").c_str(), O_RDONLY | O_CLOEXEC));
  char text[16];
  const ssize_t n = fd ? ::read(fd.get(), text, sizeof text) : 0;
  std::string comm(text, n > 0 ? static_cast<size_t>(n) : 0);
  if (comm.ends_with('\n')) comm.pop_back();
  return comm;
}

// `error` is that of SO_PEERPIDFD: for a reaped process kernels return ESRCH or EINVAL.
std::unexpected<Error> refuse_peer(int error) {
  if (error == ESRCH || error == EINVAL) return say(ESRCH, "the client has exited");
  return make_error(error, "get a pidfd of a client");
}

// Temporary errors, which do not depend on the client.
bool is_shortage(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }

// The pids in the line `NSpid:` of /proc/PID/status; the first is that in the pid namespace of
// knelld.
std::vector<int32_t> numbers_of(const std::string& pid) {
  const UniqueFd fd(::open(("/proc/" + pid + "/status").c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<int32_t> numbers;
  if (!fd) return numbers;
  std::array<char, kProcStatusBytes> text;
  const std::string_view all = read_proc_status(fd.get(), text);
  constexpr std::string_view kLine = "\nNSpid:";
  const size_t at = all.find(kLine);
  if (at == std::string_view::npos) return numbers;
  std::string_view line = all.substr(at + kLine.size());
  line = line.substr(0, line.find('\n'));
  while (true) {
    while (!line.empty() && line.front() == '\t') line.remove_prefix(1);
    int32_t number = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error != std::errc()) return numbers;
    numbers.push_back(number);
    line.remove_prefix(static_cast<size_t>(end - line.data()));
  }
}

// Whether the process is in pid namespace `ns` or in one below it.
bool is_in(const std::string& pid, uint32_t ns) {
  const UniqueFd fd(::open(("/proc/" + pid + "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return false;
  const auto around = pid_namespaces_from(fd.get());
  return around && std::ranges::find(*around, ns) != around->end();
}

}  // namespace

Result<Peer> Peer::create(int socket, const Visibility& visibility, const Clock& clock) {
  ucred credentials{};
  socklen_t bytes = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0)
    return errno_error("read the credentials of a client");
  if (credentials.pid <= 0)
    return say(EACCES, "the pid namespace of the client is not a descendant of the daemon's");
  Peer peer;
  peer.pid_ = credentials.pid;
  peer.uid_ = credentials.uid;
  peer.gid_ = credentials.gid;
  KNELL_TRY(peer.find_namespace(socket));
  KNELL_TRY(peer.find_scope(socket, visibility));
  peer.comm_ = read_comm(peer.pid_);
  peer.since_ns_ = clock.monotonic_ns();
  return peer;
}

Result<void> Peer::find_namespace(int socket) {
  int raw = -1;
  socklen_t bytes = sizeof raw;
  const bool got = ::getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &raw, &bytes) == 0;
  // Uses the pid only where this option does not exist, since another process may have the pid by
  // now.
  if (!got && errno != ENOPROTOOPT) return refuse_peer(errno);
  if (const UniqueFd pidfd(got ? raw : -1); pidfd) {
    KNELL_ASSIGN(namespace_, PidNamespace::of_pidfd(pidfd.get(), pid_));
  } else {
    errno = 0;
    const auto stat = read_proc_stat(pid_);
    if (!stat && is_shortage(errno)) return errno_error("read the state of a client");
    if (!stat) return say(ESRCH, "the client has exited");
    KNELL_ASSIGN(namespace_, PidNamespace::of_process(pid_, stat->start));
  }
  if (namespace_->is_own()) {
    namespace_.reset();
    return {};
  }
  KNELL_ASSIGN(namespace_depth_, namespace_->level());
  scope_.ns = namespace_->inode();
  return {};
}

Result<void> Peer::find_scope(int socket, const Visibility& visibility) {
  scope_.uid = uid_;
  const auto may = [&](gid_t group) {
    return std::ranges::find(visibility.groups, group) != visibility.groups.end();
  };
  scope_.every_user =
      uid_ == 0 || may(gid_) || std::ranges::find(visibility.users, uid_) != visibility.users.end();
  if (!scope_.every_user) {
    KNELL_ASSIGN(const auto groups, groups_of(socket));
    scope_.every_user = std::ranges::any_of(groups, may);
  }
  if (scope_.every_user || !namespace_) return {};
  if (const auto owner = namespace_->owner_uid()) scope_.every_user = *owner == uid_;
  return {};
}

Peer::Search Peer::begin_search(std::set<int32_t> pids) const {
  Search search{.pids = std::move(pids)};
  for (const int32_t pid : search.pids) {
    const int ours =
        namespace_ ? ::ioctl(namespace_->fd(), kGetPidFromPidns, static_cast<long>(pid)) : pid;
    if (ours > 0)
      search.found.emplace(pid, ours);
    else if (errno != ESRCH)
      return begin_scan_for_testing(std::move(search.pids));  // an older kernel
  }
  return search;
}

Peer::Search Peer::begin_scan_for_testing(std::set<int32_t> pids) const {
  Search search{.pids = std::move(pids)};
  search.scan.begin();
  return search;
}

// Each process in the client's namespace that has a wanted pid there is found.
bool Peer::continue_search(Search& search, ScanBudget& budget) const {
  (void)search.scan.advance(budget, 1, [&](int32_t pid) {
    const std::string name = std::to_string(pid);
    const auto numbers = numbers_of(name);
    if (numbers.size() <= namespace_depth_ || !search.pids.contains(numbers[namespace_depth_]))
      return;
    if (is_in(name, scope_.ns)) search.found.emplace(numbers[namespace_depth_], numbers.front());
    if (search.found.size() == search.pids.size()) search.scan.cancel();
  });
  return !search.scan.running();
}

}  // namespace knell::server
