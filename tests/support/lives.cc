// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/lives.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/proc_stat.h"

namespace knell::test {
namespace {

struct Life {
  uint64_t from_ns, until_ns;
};

std::mutex mutex;
std::map<pid_t, std::vector<Life>>& lives() {
  static std::map<pid_t, std::vector<Life>> all;
  return all;
}

}  // namespace

uint64_t monotonic_now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void note_birth(pid_t pid, uint64_t from_ns) {
  const std::lock_guard lock(mutex);
  lives()[pid].push_back({from_ns, UINT64_MAX});
}

void note_birth_of_child(pid_t pid, uint64_t from_ns) {
  const auto stat = read_proc_stat(pid);
  const uint64_t monotonic_ns = system_clock().monotonic_ns();
  const uint64_t asleep_ns = system_clock().boottime_ns() - monotonic_ns;
  const auto ticks = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  const uint64_t start_ns = stat ? stat->start * (1'000'000'000 / ticks) : 0;
  note_birth(pid, std::max(from_ns, start_ns - std::min(start_ns, asleep_ns)));
}

void note_reaped(pid_t pid, uint64_t until_ns) {
  const std::lock_guard lock(mutex);
  const auto known = lives().find(pid);
  if (known != lives().end()) known->second.back().until_ns = until_ns + kLateNs;
}

Owner owner_of(pid_t pid, uint64_t stamp_ns) {
  const std::lock_guard lock(mutex);
  const auto known = lives().find(pid);
  if (known == lives().end() || stamp_ns == 0) return Owner::kChild;
  Owner owner = Owner::kEarlier;
  for (const Life& life : known->second) {
    if (stamp_ns < life.from_ns) continue;
    if (stamp_ns <= life.until_ns) return Owner::kChild;
    owner = Owner::kLater;
  }
  return owner;
}

}  // namespace knell::test
