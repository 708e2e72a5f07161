// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace knell::bench {

// EINVAL: wrong usage; ENOTSUP: it cannot be measured here.
template <class... Args>
std::unexpected<Error> refuse(int code, fmt::format_string<Args...> format, Args&&... args) {
  return say(code, fmt::format(format, std::forward<Args>(args)...));
}

constexpr uint64_t kMillisecondNs = 1'000'000;
constexpr uint64_t kSecondNs = 1'000'000'000;

uint64_t now_ns();                    // CLOCK_MONOTONIC, the clock of event timestamps
void sleep_until(uint64_t until_ns);  // returns early only when interrupted()
inline void sleep_ns(uint64_t ns) { sleep_until(now_ns() + ns); }

// SIGINT and SIGTERM set a flag: storms end early and the results so far are printed. The second
// signal ends the program at once.
void catch_interrupts();
bool interrupted();

// The storm runs on one core and the listeners on the others, so a listener slows the storm only by
// the work the kernel does for it there.
struct Cores {
  std::vector<int> storm, listeners;
};
// The first core this process may run on, and all others; one core is shared.
Result<Cores> choose_cores();
void pin(const std::vector<int>& cores, pid_t pid = 0);

// The CPU time of a process and the living children of its main thread; 0: it has exited.
uint64_t cpu_ns(pid_t pid);
bool is_runnable(pid_t pid);  // its main thread runs or waits for a core
uint64_t resident_bytes(pid_t pid);

// One line: version, commit, kernel, cores.
std::string machine_text(const Cores& cores);

}  // namespace knell::bench
