// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/timeout.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "base/clock.h"

namespace knell::lib {
namespace {

constexpr time_t kMostSeconds = 1'000'000'000;  // 31 years; a longer timeout is shortened to this

}  // namespace

Result<Timeout> Timeout::create(const timespec* given) {
  Timeout timeout;
  if (given == nullptr) return timeout;
  if (given->tv_sec < 0 || given->tv_nsec < 0 || given->tv_nsec >= 1'000'000'000)
    return say(EINVAL, "a timeout must have seconds from 0 on and nanoseconds from 0 to 999999999");
  timeout.deadline_ns_ =
      system_clock().monotonic_ns() +
      static_cast<uint64_t>(std::min(given->tv_sec, kMostSeconds)) * 1'000'000'000 +
      static_cast<uint64_t>(given->tv_nsec);
  return timeout;
}

int Timeout::left_ms() const {
  if (!deadline_ns_) return -1;
  const uint64_t now = system_clock().monotonic_ns();
  return now >= *deadline_ns_ ? 0
                              : static_cast<int>(std::min<uint64_t>(
                                    (*deadline_ns_ - now + 999'999) / 1'000'000, INT32_MAX));
}

}  // namespace knell::lib
