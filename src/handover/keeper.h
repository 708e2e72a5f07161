// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell::handover {

// The process that holds the descriptors of this one while it is restarted: systemd's descriptor
// store, or `knelld --supervise`, with the same protocol (sd_notify(3), sd_listen_fds(3)). Never
// blocks. Not thread-safe. See docs/design/restart.md.
//
// A descriptor is stored under a name; store() and remove() are messages, which the keeper handles
// in their order, also those that a process sent before it was killed.
class Keeper {
 public:
  // Whether the keeper polls the descriptor and drops it when it reports EPOLLHUP or EPOLLERR. bpf
  // maps always report EPOLLERR, and a netlink socket reports it at an overflow.
  enum class Poll { kNo, kYes };

  Keeper() = default;  // stores nothing
  // The keeper that $NOTIFY_SOCKET names, with the descriptors of $LISTEN_FDS and their names;
  // unsets these two. Descriptors are set to close on exec. Errors: EINVAL the variables are
  // malformed.
  static Result<Keeper> from_environment();

  bool stores() const { return static_cast<bool>(socket_); }
  // Errors of the descriptors' protocol are not reported: the keeper may refuse a descriptor
  // silently. If the keeper is slow, messages wait here until flush().
  void store(const std::string& name, int fd, Poll poll);
  void remove(const std::string& name);
  // Sends a notification, sd_notify(3), after all earlier messages of store() and remove().
  void notify(const std::string& text);
  // Sends the waiting messages. Returns whether none is left. `timeout_ms`: how long to wait for a
  // slow keeper; use it only at the start and at the end of a process.
  bool flush(int timeout_ms = 0);

  // Removes an inherited descriptor with this name and returns it; empty: there is none.
  UniqueFd take(const std::string& name);
  bool has(const std::string& name) const { return inherited_.contains(name); }
  // The names of inherited descriptors that begin with `prefix` and were not taken.
  std::vector<std::string> names(std::string_view prefix) const;
  size_t inherited() const { return inherited_.size(); }
  // Removes the inherited descriptors that begin with `prefix` from the keeper, and closes those
  // that were not taken. kNotTaken: only those. Call before other descriptors are stored under
  // these names.
  enum class Drop { kAll, kNotTaken };
  void drop(std::string_view prefix, Drop which = Drop::kAll);

  // For tests: as from_environment(), with these descriptors and a socket to the keeper.
  void add_inherited_for_testing(const std::string& name, UniqueFd fd);

 private:
  struct Message {
    std::string text;
    UniqueFd fd;
  };
  enum class Sent { kYes, kLater };
  bool connect() const;
  Sent send(const Message& message) const;
  void post(Message message);

  UniqueFd socket_;
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
  std::multimap<std::string, UniqueFd, std::less<>> inherited_;
  // names of the taken descriptors that the keeper still has
  std::set<std::string, std::less<>> taken_;
  std::deque<Message> waiting_;
};

}  // namespace knell::handover
