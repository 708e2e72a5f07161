// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/press.h"

#include <knell/cn_proc.h>
#include <linux/netlink.h>

#include <cstring>

#include "event/cn_message.h"
#include "wire/event.h"

namespace knell::server {
namespace {

constexpr knell_string kUnknown{nullptr, 0};

// What a listener with fewer details did not ask for.
void blank(knell_event& event, uint32_t details) {
  event.user = kUnknown;  // its reader asks for the name by itself: we may not wait for anybody
  if (details == KNELL_DETAILS_FULL) return;
  event.args = event.exe = event.cwd = kUnknown;
  event.flags &= ~KNELL_FLAG_ARGS_TRUNCATED;
  if (details == KNELL_DETAILS_NAMES) return;
  event.comm = event.parent_comm = event.cgroup = event.unit = event.container_id = kUnknown;
  event.has &= ~(KNELL_HAS_UID | KNELL_HAS_GID | KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL);
  event.uid = event.gid = 0;
  event.killed_by = {};
  event.last_signal = {};
}

// Should a text be longer than any frame: without the long ones.
void shorten(knell_event& event) {
  event.args = event.exe = event.cwd = event.cgroup = event.killed_by.memory_cgroup = kUnknown;
}

}  // namespace

std::string_view Press::event(const knell_event& told, uint32_t details) {
  knell_event event = told;
  event.seq = event.cookie = 0;  // each reader's own
  blank(event, details);
  if (wire::event_bytes(event) > wire::kMostEvent) shorten(event);
  const int64_t epoch_ns = wire::epoch_of(event);
  const std::string_view encoded = wire::encode_event(buffer_, event);
  out_.assign(reinterpret_cast<const char*>(&epoch_ns), sizeof epoch_ns);
  return out_.append(encoded);
}

std::string_view Press::datagram(const event::Raw& raw, uint32_t ns) {
  const auto bytes = [&](const event::Raw& one) -> std::string_view {
    const auto datagram = event::encode(one);
    out_.assign(reinterpret_cast<const char*>(datagram.data()), datagram.size());
    return out_;
  };
  if (ns == 0) return bytes(raw);
  const auto translated = translate_ ? translate_(raw, ns) : std::nullopt;
  return translated ? bytes(*translated) : std::string_view();
}

std::string_view Press::overrun(uint64_t count) {
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
