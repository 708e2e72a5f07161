// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The messages of the native protocol between knelld and its clients, as plain structures; a packet
// is one frame. The grammar is in docs/protocol.md. Events are encoded as in recordings: event.h.
//
// Decoders take the payload of a frame and do not trust it: they limit the size of everything that
// they store. Their errors are whole sentences: EBADMSG malformed, EINVAL an invalid value,
// EOPNOTSUPP an unknown attribute that is marked mandatory. Other unknown attributes are ignored.
// Encoders return one whole frame.
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

inline constexpr size_t kMostPredicates = 1024;  // kPredicate attributes of one SUBSCRIBE
inline constexpr uint32_t kRuleReleased = 0, kRuleV6 = 1;

// Client to server, the first frame.
struct ClientHello {
  std::string knell;             // the client's version
  std::optional<uint32_t> rule;  // for a compatibility listener: kRuleReleased, kRuleV6
  bool overrun = false;          // for a compatibility listener: report losses by NLMSG_OVERRUN
  // the server must not answer with HELLO; frames of the connector's protocol follow
  bool quiet = false;
  bool operator==(const ClientHello&) const = default;
};

// The processes whose events a client may receive.
struct Scope {
  static constexpr uint32_t kEverything = 1, kOwnUid = 2, kOnePidNamespace = 4;
  uint32_t flags;
  uint32_t uid;  // uid of the client; kOwnUid: it sees only processes of this uid
  // kOnePidNamespace: how many levels it is below the daemon's pid namespace
  uint32_t namespace_depth;
  uint32_t reserved;
  bool operator==(const Scope&) const = default;
};

struct ServerLimits {
  uint32_t most_frame, most_predicates;
  uint64_t queue_bytes;  // size of one listener's queue; 0: unknown
  bool operator==(const ServerLimits&) const = default;
};
inline constexpr ServerLimits kOurLimits{
    .most_frame = kMostFrame, .most_predicates = kMostPredicates, .queue_bytes = 0};

// Server to client, the answer to the HELLO. In `origin`, subscription.via is the current source,
// and selection is empty.
struct ServerHello {
  Origin origin;
  Scope scope{};
  ServerLimits limits = kOurLimits;
};

// Client to server, kAdd and kRemove: a process; a frame has one or more. The server adds or
// removes all that it can; the ack has the error of the first failure.
struct AddedProcess {
  int32_t pid;  // in the client's own pid namespace; above 0
  uint32_t reserved;
  uint64_t start;  // clock ticks since boot; 0: the process that has the pid now
  bool operator==(const AddedProcess&) const = default;
};
inline constexpr size_t kMostPids =
    kMostPayload / attribute_bytes(sizeof(AddedProcess));  // of a frame

// Client to server, in a SUBSCRIBE: makes the client a durable listener.
inline constexpr size_t kMostDurableText = 64;  // of a name or cursor
// chosen, not measured
inline constexpr uint32_t kDefaultUnacked = 1024, kMostUnackedEvents = 16'384;
struct Durable {
  std::string name;
  uint32_t from = KNELL_FROM_ACKNOWLEDGED;  // enum knell_from
  std::string cursor;                       // not empty: begin with the first event after it
  uint32_t most_unacked = kDefaultUnacked;
  bool operator==(const Durable&) const = default;
};

// Client to server, kAcknowledge: acknowledges the event with this cursor and all events before it.
// The ack follows when that is committed.
struct Acknowledge {
  std::string cursor;   // empty: nothing is acknowledged
  uint32_t failed = 0;  // this many more events could not be handled, for the status
  bool operator==(const Acknowledge&) const = default;
};

// Client to server, kForget: removes a durable listener that is not in use.
struct Forget {
  std::string name;
  std::optional<uint32_t> owner;  // uid; nullopt: the client's uid
  bool operator==(const Forget&) const = default;
};

// The start of a page of past events. The server returns it, and the client repeats it in the
// request for the next page. The server does not trust it.
struct HistoryPlace {
  std::string cursor;    // after this event; empty: at the beginning of the journal
  int64_t last_seq = 0;  // no later block has events of the requested period; 0: unknown
  // the search for the last events has reached this block; 0: it has not begun
  int64_t searched_seq = 0;
  uint64_t last = 0;  // number of events that the search still has to find; 0: no search
  bool operator==(const HistoryPlace&) const = default;
};

// Client to server, kHistory: requests one page of events of the journal. The answer is at most one
// kPast, which EventReader reads, a kPage, and an ack.
struct History {
  filter::Subscription wanted;         // its mask, details and predicates; `under` is not allowed
  int64_t since_ns = 0, until_ns = 0;  // CLOCK_REALTIME; 0: no limit
  uint32_t boot = 0;                   // only events of this boot; 0: of all boots
  bool wait = false;                   // if there are no more events, answer when there are
  HistoryPlace place = {};
  bool operator==(const History&) const = default;
};

// Server to client, after the events of the page.
struct Page {
  HistoryPlace next;
  bool end = false;  // there are no more events now
  bool operator==(const Page&) const = default;
};

// Server to client, one for each SUBSCRIBE, ADD, REMOVE, STATUS, SNAPSHOT, ACKNOWLEDGE, FORGET and
// HISTORY, in their order.
struct Ack {
  int32_t error = 0;     // 0, or a positive errno
  uint32_t request = 0;  // the `seq` of the request's frame
  std::string text;      // the error and how to correct it
  bool operator==(const Ack&) const = default;
};

// Server to client, the last frame: the reason why the server disconnects.
struct Bye {
  // 0: the daemon stops, reconnect; otherwise a positive errno. A client may try again after a
  // temporary error, such as EUSERS or EMFILE.
  int32_t error = 0;
  std::string text;
  bool operator==(const Bye&) const = default;
};

// `seq`: the number of the frame in its direction; for an ack the number of the request.
std::string encode(const ClientHello& hello, uint32_t seq);
std::string encode(const ServerHello& hello, uint32_t seq);
// A subscription replaces an earlier one. Errors: EINVAL the predicates do not fit in one frame.
Result<std::string> encode(const filter::Subscription& subscription, uint32_t seq,
                           const Durable* durable = nullptr);
std::string encode(const Acknowledge& acknowledge, uint32_t seq);
std::string encode(const Forget& forget, uint32_t seq);
// Errors: EINVAL the predicates do not fit in one frame.
Result<std::string> encode(const History& history, uint32_t seq);
std::string encode(const Page& page, uint32_t seq);
// kAdd or kRemove; from 1 to kMostPids processes.
std::string encode(Message add_or_remove, std::span<const AddedProcess> pids, uint32_t seq);
std::string encode_status_request(uint32_t seq);
// The answer is any number of kProcesses frames, written by EventFrame and read by EventReader, and
// an ack.
std::string encode_snapshot_request(uint32_t seq);
// Encodes the first piece of `json`, and removes it from `json`.
std::string encode_status_text(std::string_view& json, uint32_t seq);
std::string encode(const Ack& ack, uint32_t seq);
std::string encode(const Bye& bye, uint32_t seq);

Result<ClientHello> decode_client_hello(std::string_view payload);
Result<ServerHello> decode_server_hello(std::string_view payload);
// The predicates of the result have passed filter::check(); its mask is normalised.
Result<filter::Subscription> decode_subscribe(std::string_view payload);
// The durable listener of a SUBSCRIBE that decode_subscribe() accepts; nullopt: it has none.
Result<std::optional<Durable>> decode_durable(std::string_view payload);
Result<Acknowledge> decode_acknowledge(std::string_view payload);
Result<Forget> decode_forget(std::string_view payload);
// As decode_subscribe().
Result<History> decode_history(std::string_view payload);
Result<Page> decode_page(std::string_view payload);
// The result is not empty.
Result<std::vector<AddedProcess>> decode_pids(std::string_view payload);
Result<void> decode_status_request(std::string_view payload);
Result<void> decode_snapshot_request(std::string_view payload);
// The result points into the payload.
Result<std::string_view> decode_status_text(std::string_view payload);
Result<Ack> decode_ack(std::string_view payload);
Result<Bye> decode_bye(std::string_view payload);

}  // namespace knell::wire
