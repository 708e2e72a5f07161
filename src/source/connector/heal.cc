// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/heal.h"

#include <knell/cn_proc.h>

#include <optional>
#include <utility>

#include "source/connector/socket.h"

// The kernel counts listeners, and while its count is below one it sends nothing to anybody, nor
// any ack, nor any error. Requests of other programs can push it there (before 6.6: an IGNORE too
// many; later: an invalid op followed by IGNORE). Who listens can push it back: before 6.6 each
// LISTEN counts one; since then only a LISTEN that follows something else on the same socket does,
// and an invalid op is something else that leaves the mask in force. What was added here is never
// taken back: it makes good what somebody else took.
namespace knell::source {
namespace {

Result<void> request(int fd, uint32_t op, std::optional<uint32_t> mask) {
  if (const int error = send_request(fd, op, mask); error != 0) {
    return make_error(error, "send a request to the process connector");
  }
  return {};
}

}  // namespace

Result<ProbeAnswer> subscribe(int fd, uint32_t mask, const Probe& probe) {
  KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, mask));
  KNELL_ASSIGN(const ProbeAnswer first, probe.ask());
  if (first.kernel_filter) return first;
  // An old kernel, which did not count those eight bytes; or a deaf one, which can be either. To a
  // kernel that did count them this says ALL; the attached program holds until the next request.
  KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, std::nullopt));
  KNELL_ASSIGN(const ProbeAnswer second, probe.ask());
  if (second.kernel_filter) KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, mask));
  return second;
}

Result<ProbeAnswer> heal(int fd, uint32_t mask, Speech speech, const Probe& probe, int rounds) {
  ProbeAnswer answer;
  while (rounds-- > 0 && !answer.acked) {
    if (speech != Speech::kLegacy) KNELL_TRY(request(fd, kInvalidOp, mask));
    if (speech == Speech::kMask) {
      KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, mask));
    } else {
      KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, std::nullopt));
    }
    KNELL_ASSIGN(answer, probe.ask());
  }
  if (answer.kernel_filter && speech == Speech::kUnknown) {
    KNELL_TRY(request(fd, KNELL_MCAST_LISTEN, mask));
  }
  return answer;
}

bool DeafHistory::note(uint64_t now_ns) {
  const bool habit = before_[0] != 0 && now_ns - before_[0] <= kWithinNs;
  before_[0] = std::exchange(before_[1], now_ns);
  if (habit) before_ = {};
  return habit;
}

}  // namespace knell::source
