// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/load.h"

#include <sys/prctl.h>

#include <algorithm>

#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kSleepFromNs = 200'000;  // a shorter wait than this is spun away: waking up
                                            // takes tens of microseconds
constexpr uint64_t kLateNs = 1'000'000;

void wait_until(uint64_t time_ns, uint64_t period_ns) {
  if (period_ns >= kSleepFromNs) {
    rest_until(time_ns);
    return;
  }
  while (now_ns() < time_ns && !interrupted()) {
  }
}

}  // namespace

Outcome<Load> blow_paced(const Pace& pace, std::mt19937& random) {
  (void)::prctl(PR_SET_TIMERSLACK, 1UL);
  const auto period_ns =
      pace.per_second > 0 ? static_cast<uint64_t>(1e9 / pace.per_second) : uint64_t{0};
  std::uniform_real_distribution<double> shift(-pace.jitter, pace.jitter);
  Load load{.begin_ns = now_ns()};
  for (uint64_t due = load.begin_ns; load.count < pace.at_most && !interrupted();) {
    if (period_ns != 0) {
      due += period_ns;
      if (due - load.begin_ns > pace.for_ns) break;
      const auto shifted = pace.jitter > 0
                               ? due + static_cast<uint64_t>(static_cast<int64_t>(
                                           shift(random) * static_cast<double>(period_ns)))
                               : due;
      wait_until(shifted, period_ns);
      const uint64_t now = now_ns();
      if (now > shifted && now - shifted > std::max(period_ns, kLateNs)) load.late++;
    } else if (now_ns() - load.begin_ns > pace.for_ns) {
      break;
    }
    if (const auto ended = end_one(0); !ended) return std::unexpected(ended.error());
    load.count++;
  }
  load.end_ns = now_ns();
  return load;
}

}  // namespace knell::bench
