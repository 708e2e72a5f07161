// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What knelld and its clients say to each other natively, one frame a packet, as plain structures.
// docs/protocol.md is the grammar. Events go as in recordings: event.h.
//
// Decoders are given a frame's payload and believe nothing: they bound all they keep. Their errors
// are EBADMSG (malformed), EINVAL (a number that means nothing) and EOPNOTSUPP (an attribute that
// is marked mandatory and not known), each a whole sentence. What is not marked so and not known is
// passed over. Encoders make one whole frame.
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "filter/subscription.h"
#include "wire/frame.h"
#include "wire/origin.h"

namespace knell::wire {

inline constexpr size_t kMostPredicates = 1024;  // attributes of one subscribe, in its one frame
inline constexpr uint32_t kRuleReleased = 0, kRuleV6 = 1;

// Client to server, the first frame.
struct ClientHello {
  std::string knell;             // its version
  std::optional<uint32_t> rule;  // of a compatibility listener: kRuleReleased, kRuleV6
  bool overrun = false;          // of a compatibility listener: it takes NLMSG_OVERRUN
  bool quiet = false;            // no hello back
  bool operator==(const ClientHello&) const = default;
};

// What a client may be told of.
struct Scope {
  static constexpr uint32_t kEverything = 1, kOwnUid = 2, kOnePidNamespace = 4;
  uint32_t flags;
  uint32_t uid;    // kOwnUid: whose
  uint32_t level;  // kOnePidNamespace: how deep below the initial one
  uint32_t reserved;
  bool operator==(const Scope&) const = default;
};

struct Limits {
  uint32_t most_frame, most_predicates;
  uint64_t queue_bytes;  // of one listener; 0: not told
  bool operator==(const Limits&) const = default;
};
inline constexpr Limits kOurLimits{
    .most_frame = kMostFrame, .most_predicates = kMostPredicates, .queue_bytes = 0};

// Server to client, the answer to its hello. Of `origin`, subscription.via is the source in use,
// and selection is empty.
struct ServerHello {
  Origin origin;
  Scope scope{};
  Limits limits = kOurLimits;
};

// Client to server, kAdd and kRemove: processes, each an attribute. All that can be are added; the
// ack tells the first that could not.
struct Pid {
  int32_t pid;  // in the client's own pid namespace; above 0
  uint32_t reserved;
  uint64_t start;  // clock ticks since boot; 0: whoever it is now
  bool operator==(const Pid&) const = default;
};
inline constexpr size_t kMostPids = kMostPayload / attribute_bytes(sizeof(Pid));  // a frame

// Server to client, one for each subscribe, add, remove and status, in their order.
struct Ack {
  int32_t error = 0;     // 0, or a positive errno
  uint32_t request = 0;  // the number that the request's frame had
  std::string text;      // what was wrong and what would be right
  bool operator==(const Ack&) const = default;
};

// Server to client, the last frame: why it is disconnected.
struct Bye {
  int32_t error = 0;  // 0: the daemon ends, come again; else a positive errno: do not
  std::string text;
  bool operator==(const Bye&) const = default;
};

// `seq` counts the frames of this direction; acks name it.
std::string encode(const ClientHello& hello, uint32_t seq);
std::string encode(const ServerHello& hello, uint32_t seq);
// A second one replaces the first, live. Errors: EINVAL more predicates than fit one frame, in
// words.
Result<std::string> encode(const filter::Subscription& subscription, uint32_t seq);
// kAdd or kRemove; kMostPids at the most.
std::string encode(Message add_or_remove, std::span<const Pid> pids, uint32_t seq);
std::string encode_status_request(uint32_t seq);
// The first piece of `json` that fits a frame; it is taken off its front.
std::string encode_status_text(std::string_view& json, uint32_t seq);
std::string encode(const Ack& ack, uint32_t seq);
std::string encode(const Bye& bye, uint32_t seq);

Result<ClientHello> decode_client_hello(std::string_view payload);
Result<ServerHello> decode_server_hello(std::string_view payload);
// Its predicates pass filter::check().
Result<filter::Subscription> decode_subscribe(std::string_view payload);
// Not empty.
Result<std::vector<Pid>> decode_pids(std::string_view payload);
Result<void> decode_status_request(std::string_view payload);
// Points into the payload.
Result<std::string_view> decode_status_text(std::string_view payload);
Result<Ack> decode_ack(std::string_view payload);
Result<Bye> decode_bye(std::string_view payload);

}  // namespace knell::wire
