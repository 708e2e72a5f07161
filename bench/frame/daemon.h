// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <expected>
#include <string>
#include <vector>

namespace knell::bench {

// The pid of the knelld that libknell would listen through (KNELL_SOCKET), as it says itself: by
// its connection it could be systemd, which listened for it. Errors: why there is none, in words.
std::expected<pid_t, std::string> find_daemon();

// Keeps somebody else's process on these cores until the end of its life; 0: nobody. Best effort.
class Pinned {
 public:
  Pinned(pid_t pid, const std::vector<int>& cores);
  ~Pinned();
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  pid_t pid_;
  cpu_set_t before_{};
};

}  // namespace knell::bench
