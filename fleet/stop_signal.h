// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace knell::fleet {

// SIGINT and SIGTERM as a descriptor. Threads that exist already, and those that a thread with the
// signals blocked starts, do not receive them: create it first, and unblock() when the threads of
// libnats run, so that the signals interrupt the writes of this thread. One object a process.
class StopSignal {
 public:
  StopSignal();
  void unblock();
  int fd() const;  // POLLIN: stopped()
  static bool stopped();
};

}  // namespace knell::fleet
