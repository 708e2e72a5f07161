// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "source/connector/probe.h"

namespace knell::source {

// What this kernel is known to understand.
enum class Speech { kUnknown, kLegacy, kMask };

// The first requests on a socket that has joined: asks for `mask`, and makes certain by the probe.
// The answer may be that nobody is heard (not acked): then see diagnosis.h, or heal().
Result<ProbeAnswer> subscribe(int fd, uint32_t mask, const Probe& probe);

// Raises the kernel's count of listeners, one a round, until somebody is heard again or `rounds`
// are over; nothing wanted is lost by it. The answer says what came of it. `fd` has subscribed.
inline constexpr int kHealRounds = 1000;  // far more than anyone ever found missing
Result<ProbeAnswer> heal(int fd, uint32_t mask, Speech speech, const Probe& probe,
                         int rounds = kHealRounds);

// Whether going deaf has become a habit, which no healing cures: three times within a minute. Some
// kernels (6.6.13 to 6.6.17, 6.7.1 to 6.7.5) go deaf at each event that no listener's filter lets
// through; there the one cure is to filter nothing in the kernel.
class DeafHistory {
 public:
  // Found deaf at `now_ns`. True when it is a habit; then it begins anew.
  bool note(uint64_t now_ns);

 private:
  static constexpr uint64_t kWithinNs = 60'000'000'000;
  std::array<uint64_t, 2> before_{};  // the last two times, 0: never
};

}  // namespace knell::source
