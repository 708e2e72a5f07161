// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/probe.h"

#include <optional>

#include "filter/classic_bpf.h"
#include "source/connector/receiver.h"
#include "source/connector/socket.h"

// Whether a subscription works cannot be asked for on the socket that subscribes: a filtered
// listener gets no acks, not even its own. So a second socket, which lets only acks in, sends a
// request with an op that does not exist. A kernel that hears it acks it with EINVAL and leaves its
// count of listeners as it is. It does so only when somebody listens; and to eight bytes only when
// it knows the mask in them. Acks go to everybody and carry nothing of the request but its nonce.
namespace knell::source {
namespace {

// The ack is in the queue when send() returns.
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

Result<Probe> Probe::open() {
  KNELL_ASSIGN(UniqueFd fd, open_connector());
  KNELL_TRY(attach_filter(fd.get(), filter::only_acks_filter()));
  KNELL_TRY(join_events(fd.get()));
  return Probe(std::move(fd));
}

Result<ProbeAnswer> Probe::ask() const {
  ProbeAnswer answer;
  KNELL_ASSIGN(answer.acked, acked(fd_.get(), std::nullopt));
  if (!answer.acked) return answer;
  KNELL_ASSIGN(answer.kernel_filter, acked(fd_.get(), KNELL_EVENT_ALL));
  return answer;
}

}  // namespace knell::source
