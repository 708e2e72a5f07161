// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "support/child.h"

namespace knell::test {

// A knelld of the test's own, on a socket of its own. While it exists, KNELL_SOCKET names that
// socket, for this process and its children.
class Daemon {
 public:
  Daemon();
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Sets the text of its knelld.toml. Call it before the daemon starts.
  void configure(const std::string& text);
  // Waits until it listens; returns false and fails the test when it does not.
  bool start();
  void kill();  // SIGKILL, and reaped
  pid_t pid() const { return child_ ? child_->pid() : 0; }
  const std::string& socket() const { return socket_; }

 private:
  TemporaryDirectory folder_;
  std::string socket_;
  std::optional<Pipe> says_;
  std::optional<Child> child_;
};

// $KNELLD_BIN, else `knelld` beside the command under test.
std::string knelld_binary();
std::string lacks_knelld();  // the reason why no daemon can run here; empty: one can

}  // namespace knell::test
