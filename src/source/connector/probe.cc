// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/probe.h"

#include <optional>

#include "filter/classic_bpf.h"
#include "source/connector/receiver.h"
#include "source/connector/socket.h"

// The subscribing socket cannot check whether its subscription works: a filtered listener receives
// no acks, not even those of its own requests. So a second socket, whose filter passes only acks,
// sends a request with an op that does not exist. A kernel that obeys requests from here acks it
// with EINVAL and does not change its count of listeners. It sends the ack only if that count is at
// least one, and acks a request of 8 bytes only if it knows the mask in them. The kernel sends acks
// to all listeners; the nonce is the only part of the request in them.
namespace knell::source {
namespace {

constexpr int kAttempts = 3;       // chosen, not measured
constexpr int kMostBatches = 256;  // several times a full queue: other programs may go on sending

enum class Acked { kNo, kYes, kUnknown };

// Whether the kernel acks a request. The ack is in the queue when send() returns, so no waiting.
// kUnknown: acks were dropped, since the queue was full. Afterwards the queue is empty.
Result<Acked> acked_once(int fd, std::optional<uint32_t> mask) {
  const uint32_t nonce = random_nonce();
  if (const int error = send_request(fd, kInvalidOp, mask, nonce); error != 0) {
    return make_error(error, "send a request to the process connector");
  }
  Receiver receiver;
  bool overflowed = false;
  for (int batch = 0; batch < kMostBatches; ++batch) {
    const Receiver::Fill filled = receiver.fill(fd);
    overflowed |= filled == Receiver::Fill::kOverflow;
    if (filled == Receiver::Fill::kEmpty || filled == Receiver::Fill::kBroken)
      return overflowed ? Acked::kUnknown : Acked::kNo;
    while (const auto raw = receiver.next())
      if (raw->what == KNELL_EVENT_NONE && raw->u.ack.ack == nonce + 1) return Acked::kYes;
  }
  return Acked::kUnknown;
}

Result<Acked> acked(int fd, std::optional<uint32_t> mask) {
  Acked answer = Acked::kUnknown;
  for (int attempt = 0; attempt < kAttempts && answer == Acked::kUnknown; ++attempt) {
    KNELL_ASSIGN(answer, acked_once(fd, mask));
  }
  return answer;
}

}  // namespace

Result<ConnectorProbe> ConnectorProbe::open() {
  KNELL_ASSIGN(UniqueFd fd, open_connector());
  KNELL_TRY(attach_filter(fd.get(), filter::only_acks_filter()));
  KNELL_TRY(join_events(fd.get()));
  return ConnectorProbe(std::move(fd));
}

Result<ConnectorProbeAnswer> ConnectorProbe::ask() const {
  ConnectorProbeAnswer answer;
  KNELL_ASSIGN(const Acked plain, acked(fd_.get(), std::nullopt));
  answer.acked = plain == Acked::kYes;
  answer.unknown = plain == Acked::kUnknown;
  if (!answer.acked) return answer;
  KNELL_ASSIGN(const Acked masked, acked(fd_.get(), KNELL_EVENT_ALL));
  answer.kernel_filter = masked == Acked::kYes;
  return answer;
}

}  // namespace knell::source
