// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/lives.h"

#include <time.h>

#include <map>
#include <mutex>
#include <vector>

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
