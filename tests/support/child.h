// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "support/patience.h"

namespace knell::test {

// A pipe, both ends close-on-exec.
struct Pipe {
  UniqueFd read, write;
};
Pipe make_pipe();

// The descriptors of a spawned program. The caller still owns them; the child gets copies.
struct Stdio {
  int in = -1, out = -1, err = -1;  // -1: this process' own
};

// A child process. It does not outlive this process: it is killed when this object is destroyed, or
// when the thread that made it dies. Every wait has a deadline.
class Child {
 public:
  // Runs `body` in a forked child, which _exit()s with what it returns.
  static Child fork(const std::function<int()>& body);
  // Runs a program: words[0] is its path, or a name in PATH. A child that cannot exec exits with
  // 127.
  static Child spawn(const std::vector<std::string>& words, const Stdio& stdio = {});

  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  void kill(int signal = SIGKILL) const;
  // Reaps the child and returns its wait status; nullopt: it has not ended by the deadline.
  std::optional<int> wait(const Deadline& deadline = Deadline());

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;  // -1: moved from or reaped
};

// Where the programs of tests/system/victims are: $KNELL_VICTIM_DIR, else the folder `tests` beside
// this executable.
std::string victim(const std::string& name);
// The command under test: $KNELL_BIN, else `knell` beside this executable.
std::string knell_binary();

// Field 22 of /proc/PID/stat; 0 when the process is gone.
uint64_t start_ticks(pid_t pid);
// The target of a symbolic link, as stored in it; empty when there is none.
std::string link_of(const std::string& path);
// Waits until a spawned child has executed the program at `path`; false: it has not by the
// deadline.
bool wait_for_exec(pid_t pid, const std::string& path);
// The lines of the file; none if it cannot be read.
std::vector<std::string> lines_of(const std::string& path);

// A fresh directory, removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace knell::test
