// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "source/connector/probe.h"

namespace knell::source {

// Which requests this kernel is known to understand: kLegacy those of 4 bytes, kMask those of 8
// bytes with a mask (Linux 6.6).
enum class Speech { kUnknown, kLegacy, kMask };

// Sends the first requests on a socket that has joined the group: subscribes to `mask`, and checks
// the result with the probe. If the answer is "not acked", the kernel does not obey requests: see
// diagnosis.h, or call heal().
Result<ProbeAnswer> subscribe(int fd, uint32_t mask, const Probe& probe);

// Raises the kernel's count of listeners by one a round, until the probe is acked or after `rounds`
// rounds. Loses no wanted event. `fd` must have subscribed. Returns the last answer of the probe.
inline constexpr int kHealRounds = 1000;  // far more than was ever found to be missing
Result<ProbeAnswer> heal(int fd, uint32_t mask, Speech speech, const Probe& probe,
                         int rounds = kHealRounds);

// Detects that the kernel stops sending events again and again: three times within a minute. Then
// heal() is no solution. Some kernels (6.6.13 to 6.6.17, 6.7.1 to 6.7.5) stop at each event that
// every listener's filter drops; there the only solution is to filter nothing in the kernel.
class DeafHistory {
 public:
  // Call it when the kernel was found not to send events, at `now_ns`. True: the third time within
  // a minute; then counting starts again from zero.
  bool note(uint64_t now_ns);

 private:
  static constexpr uint64_t kWithinNs = 60'000'000'000;
  std::array<uint64_t, 2> before_{};  // the last two times, 0: never
};

}  // namespace knell::source
