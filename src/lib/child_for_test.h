// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <memory>

#include "base/fork_with_for_test.h"
#include "base/unique_fd.h"

namespace knell::lib {

// A child process that runs until die() or reap().
class Child {
 public:
  explicit Child(pid_t pid = 0, uint64_t before = 0) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe(ends), 0);
    pid_ = fork_later_with(pid, before);
    if (pid_ == 0) {
      // Close all other descriptors, including the pipes that keep other children running.
      ::dup2(ends[0], 0);
      ::close_range(3, ~0u, 0);
      char byte = 0;
      (void)!::read(0, &byte, 1);
      ::_exit(7);
    }
    ::close(ends[0]);
    gate_ = UniqueFd(ends[1]);
  }
  ~Child() { reap(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  // A child with the pid of this one, which is reaped before, and with a later start; nullptr: this
  // is not possible here.
  std::unique_ptr<Child> reuse_pid() {
    const uint64_t before = start_of(pid_);
    reap();
    auto next = std::make_unique<Child>(pid_, before);
    return next->pid() == pid_ ? std::move(next) : nullptr;
  }
  pid_t pid() const { return pid_; }
  void die() {  // stays a zombie until reap()
    gate_.reset();
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT), 0);
  }
  void reap() {
    gate_.reset();
    if (!reaped_ && pid_ > 0) ::waitpid(pid_, nullptr, 0);
    reaped_ = true;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd gate_;
  bool reaped_ = false;
};

}  // namespace knell::lib
