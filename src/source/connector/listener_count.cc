// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/listener_count.h"

#include <knell/cn_proc.h>

#include <optional>
#include <utility>

#include "source/connector/socket.h"

// The kernel counts listeners. While its count is below one it sends no events, no acks and no
// errors to any listener. Requests of other programs can lower the count that far (before 6.6: one
// IGNORE too many; since 6.6: an invalid op followed by IGNORE). Any listener can raise it again.
// Before 6.6 each LISTEN adds one. Since 6.6 a LISTEN adds one only if the last request on the same
// socket was not a LISTEN; an invalid op before it has that effect and leaves the mask in force.
// What restore_listener_count() adds is never subtracted, because it replaces what other programs
// subtracted.
namespace knell::source {
namespace {

Result<void> request(int fd, uint32_t op, std::optional<uint32_t> mask) {
  if (const int error = send_request(fd, op, mask); error != 0) {
    return make_error(error, "send a request to the process connector");
  }
  return {};
}

}  // namespace

Result<ConnectorProbeAnswer> subscribe(int fd, uint32_t mask, const ConnectorProbe& probe) {
  KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, mask));
  KNELL_ASSIGN(const ConnectorProbeAnswer first, probe.ask());
  if (first.kernel_filter) return first;
  // Either the kernel is older than 6.6 and ignored the 8-byte request, or its count of listeners
  // is below one and its version is unknown. A kernel that did accept the 8 bytes takes the next
  // request as a mask of ALL; until the mask is sent again, the attached program filters.
  KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, std::nullopt));
  KNELL_ASSIGN(const ConnectorProbeAnswer second, probe.ask());
  if (second.kernel_filter) KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, mask));
  return second;
}

Result<ConnectorProbeAnswer> restore_listener_count(int fd, uint32_t mask, RequestFormat format,
                                                    const ConnectorProbe& probe, int rounds) {
  ConnectorProbeAnswer answer;
  while (rounds-- > 0 && answer.silent()) {
    if (format != RequestFormat::kLegacy) KNELL_TRY(request(fd, kInvalidOp, mask));
    if (format == RequestFormat::kMask) {
      KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, mask));
    } else {
      KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, std::nullopt));
    }
    KNELL_ASSIGN(answer, probe.ask());
  }
  if (answer.kernel_filter && format == RequestFormat::kUnknown) {
    KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, mask));
  }
  return answer;
}

bool SilenceDetector::note(uint64_t now_ns) {
  const bool repeated = before_[0] != 0 && now_ns - before_[0] <= kWithinNs;
  before_[0] = std::exchange(before_[1], now_ns);
  if (repeated) before_ = {};
  return repeated;
}

}  // namespace knell::source
