// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The protocol of the kernel's connector: requests have 4 or 8 bytes, requests of other lengths are
// ignored, and a packet carries one event or ack. It differs from the kernel on purpose: a client
// receives no events before it asks to listen; every request is acked to the client that made it,
// also if its listener is filtered or stops listening; an invalid request changes the mask of a
// listener, as in the kernel, but does not make a client listen.
#include <cstring>
#include <utility>

#include "event/cn_message.h"
#include "server/connection_from_client.h"

namespace knell::server {
namespace {

constexpr int64_t kLatencyNs = 1'000'000;  // the library's default
constexpr size_t kShortRequest = sizeof(uint32_t), kLongRequest = sizeof(knell_proc_input);

}  // namespace

void ConnectionFromClient::serve_compat(std::string_view payload, uint32_t nonce) {
  if (payload.size() != kShortRequest && payload.size() != kLongRequest) return;
  protocol_ = Protocol::kCompat;
  latency_ns_ = kLatencyNs;
  knell_proc_input input{.mcast_op = 0, .event_type = KNELL_EVENT_ALL};
  std::memcpy(&input, payload.data(), payload.size());
  const bool listening = listener_->node() != nullptr;
  uint32_t error = 0;
  switch (input.mcast_op) {
    case KNELL_MCAST_LISTEN:
      if (listen(input.event_type)) {
        pending_ = {.what = wire::Message::kSubscribe, .request = nonce, .pids = {}};
        return serve_pending();
      }
      error = EAGAIN;
      break;
    case KNELL_MCAST_IGNORE:
      hub_.unsubscribe(*listener_);
      daemon_.interest_shrunk();
      break;
    default:
      error = EINVAL;
      if (listening && payload.size() == kLongRequest) listen(input.event_type);
      break;
  }
  ack_compat(error, nonce);
}

filter::Subscription ConnectionFromClient::datagrams(uint32_t mask) const {
  filter::Subscription subscription;
  subscription.stream = filter::Stream::kDatagrams;
  subscription.mask = filter::normalise(mask);
  subscription.rule = rule_;
  subscription.details = KNELL_DETAILS_STATUS;
  subscription.latency_ns = latency_ns_;
  return subscription;
}

bool ConnectionFromClient::listen(uint32_t mask) { return change(datagrams(mask)).has_value(); }

// As in the kernel, every unfiltered listener receives the acks of other clients too: each ack has
// a sequence number of its CPU, and a client that checks these numbers must not see a gap.
void ConnectionFromClient::ack_compat(uint32_t error, uint32_t nonce) {
  const event::Raw ack = daemon_.make_ack(error, nonce + 1);
  hub::PublishedEvent published;
  published.stream = filter::Stream::kDatagrams;
  published.raw = &ack;
  published.stamp_ns = ack.stamp_ns;
  hub_.publish_ack(published, *listener_);
  const auto datagram = event::encode(ack);
  answer({reinterpret_cast<const char*>(datagram.data()), datagram.size()});
}

}  // namespace knell::server
