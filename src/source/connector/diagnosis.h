// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "source/connector/socket.h"

// Why the connector does not work here, in words.
namespace knell::source {

// Inode numbers of the namespaces we are in; 0: could not be read.
struct Namespaces {
  uint64_t net = 0, pid = 0, user = 0;
  bool operator==(const Namespaces&) const = default;
};

// What the kernel does not tell a socket.
struct Surroundings {
  Namespaces namespaces;
  // What /proc/net/connector says of process events; nullopt: it is not there (or no /proc is).
  std::optional<bool> listed;
  bool initial_pid() const;  // true where it cannot be known
  bool initial_user() const;
};
Surroundings look_around();

enum class Step {
  kOpen,     // socket()
  kJoin,     // bind()
  kRequest,  // send()
  kAck       // all went well, and no ack came
};

struct Obstacle {
  int code = 0;          // an errno; 0: there is none
  std::string sentence;  // why
  std::string mend;      // what would help; may be empty
  bool deaf = false;  // nothing else is wrong than the kernel's count of listeners: heal() may help
};

// `error` is what `step` failed with; of no meaning for kAck.
Obstacle explain(Step step, const Error& error, const Surroundings& here);
// The same as one line.
std::unexpected<Error> refuse(const Obstacle& obstacle);

// All there is to know about the connector here, for doctor. Subscribes for a moment, to an event
// that hardly ever comes; heals nothing.
struct Diagnosis {
  bool present = false;  // there are process events, and we may join
  bool acked = false;    // and they come
  bool kernel_filter = false;
  bool deaf = false;  // they would, were the kernel's count of listeners not below one
  std::optional<bool> initial_net;  // nullopt: not found out
  bool initial_pid = true, initial_user = true;
  Buffer buffer;
  uint64_t room_events = 0;
  Obstacle obstacle;
};
Diagnosis diagnose(size_t buffer_bytes);

}  // namespace knell::source
