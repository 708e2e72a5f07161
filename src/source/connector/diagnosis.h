// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/connector/socket.h"
#include "source/finding.h"

// Explains why the connector does not work here.
namespace knell::source {

// Inode numbers of the namespaces of this process; 0: could not be read.
struct Namespaces {
  uint64_t net = 0, pid = 0, user = 0;
  bool operator==(const Namespaces&) const = default;
};

// Facts that cannot be found out through a socket.
struct Environment {
  Namespaces namespaces;
  // Whether /proc/net/connector lists process events; nullopt: the file could not be read.
  std::optional<bool> listed;
  // Whether this is the initial pid or user namespace; true if that is unknown.
  bool initial_pid() const;
  bool initial_user() const;
};
Environment read_environment();

enum class Step {
  kOpen,     // socket()
  kJoin,     // bind()
  kRequest,  // send()
  kAck       // all calls succeeded, but there was no ack
};

struct Obstacle {
  int code = 0;  // an errno; 0: there is no obstacle
  std::string reason;
  std::string advice;  // may be empty
  // The only cause left is the kernel's count of listeners: restore_listener_count() may help.
  bool count_below_one = false;
};

// `error` is what `step` failed with; ignored for kAck.
Obstacle explain(Step step, const Error& error, const Environment& here);
// The obstacle as an error whose message is one line.
std::unexpected<Error> obstacle_error(const Obstacle& obstacle);

// What can be found out about the connector here, for knell doctor. Subscribes for a moment to an
// event type that is rare. Repairs nothing.
struct Diagnosis {
  bool present = false;  // the kernel has process events, and we may join their group
  bool acked = false;    // events arrive
  bool kernel_filter = false;
  // The kernel's count of listeners is below one, so it sends no events
  bool count_below_one = false;
  std::optional<bool> initial_net;  // nullopt: unknown
  bool initial_pid = true, initial_user = true;
  Buffer buffer;
  uint64_t room_events = 0;  // how many events fit into the buffer
  Obstacle obstacle;
};
Diagnosis diagnose(size_t buffer_bytes);
// The diagnosis as findings; the first one says whether the connector works at all.
std::vector<Finding> examine_connector();

}  // namespace knell::source
