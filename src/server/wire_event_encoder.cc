// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/wire_event_encoder.h"

#include <knell/cn_proc.h>
#include <linux/limits.h>
#include <linux/netlink.h>

#include <cstring>

#include "event/cn_message.h"
#include "event/visibility.h"
#include "wire/event.h"

namespace knell::server {
namespace {

// Removes the texts longer than NAME_MAX, so that the event fits into a frame. Names are shorter.
void shorten(knell_event& event) {
  event::for_each_row<event::kFields>([&](auto row) {
    constexpr const event::Field& kField = event::kFields[row];
    if constexpr (kField.is_text()) {
      knell_string& text = event::value_of<kField.member>(event);
      if (text.size > NAME_MAX) text = {};
    }
  });
}

}  // namespace

bool add_encoded(wire::EventFrame& frame, std::string_view encoded) {
  int64_t epoch_ns = 0;
  std::memcpy(&epoch_ns, encoded.data(), sizeof epoch_ns);
  return frame.add(epoch_ns, encoded.substr(sizeof epoch_ns));
}

std::string_view WireEventEncoder::event(const knell_event& original, uint32_t details) {
  knell_event event = original;
  event.seq = event.cookie = 0;  // set by each reader
  event.user = {};  // the reader looks up the name: a look-up may block, which the daemon must not
  event::limit_details(event, details);
  if (wire::event_bytes(event) > wire::kMostEvent) shorten(event);
  const int64_t epoch_ns = wire::epoch_of(event);
  const std::string_view encoded = wire::encode_event(buffer_, event);
  out_.assign(reinterpret_cast<const char*>(&epoch_ns), sizeof epoch_ns);
  return out_.append(encoded);
}

std::string_view WireEventEncoder::datagram(const event::Raw& raw) {
  const auto datagram = event::encode(raw);
  out_.assign(reinterpret_cast<const char*>(datagram.data()), datagram.size());
  return out_;
}

std::string_view WireEventEncoder::overrun(uint64_t count) {
  struct {
    nlmsghdr header;
    knell_cn_msg message;
    uint32_t count[2];
  } packet{};
  static_assert(sizeof packet == 44);
  packet.header.nlmsg_len = sizeof packet;
  packet.header.nlmsg_type = NLMSG_OVERRUN;
  packet.message.idx = KNELL_CN_IDX_PROC;
  packet.message.val = KNELL_CN_VAL_PROC;
  packet.message.len = sizeof packet.count;
  std::memcpy(packet.count, &count, sizeof count);
  out_.assign(reinterpret_cast<const char*>(&packet), sizeof packet);
  return out_;
}

}  // namespace knell::server
