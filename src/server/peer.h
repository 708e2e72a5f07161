// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/pid_namespace.h"
#include "base/pid_scan.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "hub/filter.h"

namespace knell::server {

// The users and groups that see the processes of every user, as root does.
struct Visibility {
  std::vector<uid_t> users;
  std::vector<gid_t> groups;
};

// The process at the other end of a connection, with the credentials that the kernel recorded at
// connect(2), and the scope of what it may see. See peer.cc.
class Peer {
 public:
  // Errors: ESRCH the client has exited; EACCES its identity is unknown, so it may see nothing;
  // EMFILE, ENFILE, ENOMEM temporary.
  static Result<Peer> create(int socket, const Visibility& visibility, const Clock& clock);

  pid_t pid() const { return pid_; }  // in the pid namespace of knelld
  uid_t uid() const { return uid_; }
  const std::string& comm() const { return comm_; }
  const hub::Scope& scope() const { return scope_; }
  size_t namespace_depth() const { return namespace_depth_; }  // levels below that of knelld
  // Since when a descriptor of its namespace is open, CLOCK_MONOTONIC.
  uint64_t since_ns() const { return since_ns_; }
  void set_since_ns(uint64_t since_ns) { since_ns_ = since_ns; }
  // Translates pids of the client's namespace to pids of knelld's: `found` gets each process that
  // exists.
  // Before Linux 6.11 this takes one scan of /proc, in pieces: begin_search(), then
  // continue_search() until true.
  struct Search {
    std::set<int32_t> pids;
    std::map<int32_t, int32_t> found = {};
    PidScan scan = {};
  };
  Search begin_search(std::set<int32_t> pids) const;
  Search begin_scan_for_testing(std::set<int32_t> pids) const;
  bool continue_search(Search& search, ScanBudget& budget) const;

 private:
  Peer() = default;
  Result<void> find_namespace(int socket);
  Result<void> find_scope(int socket, const Visibility& visibility);

  pid_t pid_ = 0;
  uid_t uid_ = 0;
  gid_t gid_ = 0;
  std::string comm_;
  hub::Scope scope_;
  size_t namespace_depth_ = 0;
  uint64_t since_ns_ = 0;
  std::optional<PidNamespace> namespace_;  // held open, so that its inode number is not reused
};

}  // namespace knell::server
