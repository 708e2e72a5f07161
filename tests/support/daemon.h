// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/child.h"

namespace knell::test {

// A separate knelld for a test, on its own socket. While it exists, KNELL_SOCKET names that socket,
// for this process and its children.
class Daemon {
 public:
  Daemon();
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Sets the text of its knelld.toml. Call it before the daemon starts.
  void configure(const std::string& text);
  // A program that executes knelld, with its arguments. Call it before the daemon starts.
  void run_under(std::vector<std::string> words) { before_ = std::move(words); }
  // Waits until it listens; returns false and fails the test when it does not.
  bool start();
  // As start(), with --supervise: the process is the supervisor of a knelld.
  bool start_supervised();
  // The knelld that the supervisor runs; 0: none at this moment.
  pid_t supervised_pid() const;
  // Kills the supervised knelld by SIGKILL, and waits until the next one listens.
  bool kill_supervised();
  // Waits until knelld has logged this text, after the part of the log that this and start() have
  // read; false fails the test.
  bool await_log(const std::string& text);
  const std::string& log() const { return log_; }  // the part that was read
  void kill();                                     // SIGKILL, and reaps it
  // Sends SIGTERM and waits until it has ended; false, and the test fails, if it does not end with
  // status 0.
  bool stop();
  pid_t pid() const { return child_ ? child_->pid() : 0; }
  const std::string& socket() const { return socket_; }

 private:
  TemporaryDirectory folder_;
  std::string socket_;
  bool run(std::vector<std::string> words);

  std::vector<std::string> before_;
  std::optional<Pipe> says_;
  std::string log_;
  std::optional<Child> child_;
};

// $KNELLD_BIN, otherwise `knelld` in the folder of the command under test.
std::string knelld_binary();
std::string lacks_knelld();  // the reason why no daemon can run here; empty: it can

}  // namespace knell::test
