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
enum class RequestFormat { kUnknown, kLegacy, kMask };

// Sends the first requests on a socket that has joined the group: subscribes to `mask`, and checks
// the result with the probe. If the answer is "not acked", the kernel does not obey requests: see
// diagnosis.h, or call restore_listener_count().
Result<ConnectorProbeAnswer> subscribe(int fd, uint32_t mask, const ConnectorProbe& probe);

// Raises the kernel's count of listeners by one a round, until the probe is acked or after `rounds`
// rounds. Loses no wanted event. `fd` must have subscribed. Returns the last answer of the probe.
inline constexpr int kRestoreRounds = 1000;  // far more than was ever found to be missing
Result<ConnectorProbeAnswer> restore_listener_count(int fd, uint32_t mask, RequestFormat format,
                                                    const ConnectorProbe& probe,
                                                    int rounds = kRestoreRounds);

// Detects that the kernel stops sending events again and again: three times within a minute. Then
// restore_listener_count() is no solution. Some kernels (6.6.13 to 6.6.17, 6.7.1 to 6.7.5) stop at
// each event that every listener's filter drops; there the only solution is to filter nothing in
// the kernel.
class SilenceDetector {
 public:
  // Call it when the kernel was found not to send events, at `now_ns`. True: the third time within
  // a minute; then counting starts again from zero.
  bool note(uint64_t now_ns);

 private:
  static constexpr uint64_t kWithinNs = 60'000'000'000;
  std::array<uint64_t, 2> before_{};  // the last two times, 0: never
};

}  // namespace knell::source
