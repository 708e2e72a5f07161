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

// Whether the kernel acks a request. The ack is in the queue when send() returns, so no waiting.
Result<bool> acked(int fd, std::optional<uint32_t> mask) {
  const uint32_t nonce = random_nonce();
  if (const int error = send_request(fd, kInvalidOp, mask, nonce); error != 0) {
    return make_error(error, "send a request to the process connector");
  }
  Receiver receiver;
  bool found = false;
  while (!found && receiver.fill(fd) == Receiver::Fill::kSome) {
    while (const auto raw = receiver.next()) {
      found = found || (raw->what == KNELL_EVENT_NONE && raw->u.ack.ack == nonce + 1);
    }
  }
  return found;
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
  KNELL_ASSIGN(answer.acked, acked(fd_.get(), std::nullopt));
  if (!answer.acked) return answer;
  KNELL_ASSIGN(answer.kernel_filter, acked(fd_.get(), KNELL_EVENT_ALL));
  return answer;
}

}  // namespace knell::source
