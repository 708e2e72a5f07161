// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Frames of the native protocol and of recordings: the connector's framing (nlmsghdr, cn_msg,
// payload), with knell's value in cn_msg.val, a message type in nlmsghdr, and netlink attributes as
// the payload. All integers are in the machine's byte order. The grammar is in docs/protocol.md and
// docs/recording_format.md.
#pragma once

#include <knell/cn_proc.h>
#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace knell::wire {

inline constexpr uint32_t kVal = 0x6b6e656c;  // cn_msg.val: "knel"

// nlmsghdr.nlmsg_type: above the types that netlink reserves.
enum class Message : uint16_t {
  kHello = 0x10,   // the origin: writer, machine, subscription
  kEvents = 0x11,  // any number of events
  kEnd = 0x12,     // the end of a recording
  // over a socket only: protocol.h
  kSubscribe = 0x13,
  kAck = 0x14,
  kAdd = 0x15,
  kRemove = 0x16,
  kStatus = 0x17,
  kStatusText = 0x18,
  kBye = 0x19,
  kSnapshot = 0x1a,
  kProcesses = 0x1b,
  kAcknowledge = 0x1c,
  kForget = 0x1d,
  kHistory = 0x1e,
  kPast = 0x1f,
  kPage = 0x20,
};

// nlattr.nla_type. A reader ignores an attribute that it does not know, unless it has kMandatory.
inline constexpr uint16_t kMandatory = 0x4000;
inline constexpr uint16_t kTypeMask = 0x3fff;
enum Attribute : uint16_t {
  // hello
  kKnell = 1,         // string: the writer's version of knell
  kKernel = 2,        // string: kernel release, machine
  kBootId = 3,        // string: as in /proc/sys/kernel/random/boot_id
  kClock = 4,         // struct OriginClocks
  kSubscription = 5,  // struct OriginSubscription
  kSelection = 6,     // string: the selected processes, for display
  // hello, over a socket only
  kScope = 7,     // struct Scope
  kLimits = 8,    // struct ServerLimits
  kQuiet = 9,     // u32, 1: the server must not answer with HELLO
  kRule = 10,     // u32: 0 released, 1 v6; in a subscribe as well
  kOverrun = 11,  // u32, 1: losses are reported by NLMSG_OVERRUN
  // events
  kEvent = 32,  // nested
  kEpoch = 33,  // s64: CLOCK_REALTIME minus CLOCK_MONOTONIC, ns, for the events that follow
  // in an event, 40 to 65: see event/fields.h
  // end
  kTotals = 64,  // struct Totals
  // subscribe
  kMask = 80,       // u32: KNELL_EVENT_*
  kLevel = 81,      // u32: enum knell_level
  kDetails = 82,    // u32: enum knell_details
  kLatency = 83,    // s64, ns
  kOnlyAdded = 84,  // u32, 1: report only events of added processes
  // nested: a predicate as text, used until knell 0.1 (with 86 and 87); refused
  kPredicateText = 85,
  kArgsBytes = 88,  // u32: the maximum size of an event's args; 0: the daemon's setting
  kRecover = 89,    // u32, 1: also report lost events that were recovered
  kPredicate = 91,  // nested: kKey, then its values, of the kind that the key takes
  kKey = 92,        // struct PredicateKey
  kNumbers = 93,    // s64, any number of them
  kWord = 94,       // string; one value
  kWaysToEnd = 95,  // struct filter::Ended, any number of them
  kUnderLoad = 97,  // s64, ns: the latency at a high rate of events
  // add, remove
  kPid = 96,  // struct AddedProcess
  // subscribe, acknowledge, forget: durable listeners
  kDurable = 98,       // string: the name
  kFrom = 99,          // u32: enum knell_from
  kCursor = 100,       // string
  kMostUnacked = 101,  // u32: the most events that are sent and not acknowledged; 0: the default
  kFailed = 102,       // u32: the number of events that the client failed to handle
  kOwner = 103,        // u32: uid
  // ack, bye
  kError = 104,    // s32: 0 or a positive errno
  kText = 105,     // string: the reason, in one line
  kRequest = 106,  // u32: cn_msg.seq of the request
  // status text
  kJson = 112,  // string: a piece
  // history, page; kMask, kDetails, kPredicate and kCursor as well
  kSince = 114,      // s64: CLOCK_REALTIME, ns; 0: no limit
  kUntil = 115,      // s64: the same; this time included
  kBoot = 116,       // u32: only events of this boot, as in an id
  kWait = 117,       // u32, 1: if there are no more events, answer when there are
  kLast = 118,       // u64: only the last events, this many
  kSearched = 119,   // struct SearchedSeqs
  kEndOfPast = 120,  // u32, 1: there are no more events now
};

inline constexpr size_t kHeaderBytes = sizeof(nlmsghdr) + sizeof(knell_cn_msg);
// cn_msg.len has 16 bits, and attributes are whole words
inline constexpr size_t kMostPayload = 0xfffc;
inline constexpr size_t kMostFrame = kHeaderBytes + kMostPayload;

constexpr size_t padded(size_t bytes) { return (bytes + 3) & ~size_t{3}; }
constexpr size_t attribute_bytes(size_t payload) { return sizeof(nlattr) + padded(payload); }

// Appends a frame to `out`.
class FrameWriter {
 public:
  // `seq`: the number of the frame in its stream, from 0. `out` must outlive this.
  FrameWriter(std::string& out, Message type, uint32_t seq);
  // Completes the frame by filling in its lengths.
  void finish();

  void attribute(uint16_t type, std::string_view bytes);
  template <class T>
  void attribute(uint16_t type, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    attribute(type, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  size_t payload() const { return out_.size() - start_ - kHeaderBytes; }
  size_t room() const { return kMostPayload - payload(); }
  std::string& out() { return out_; }

 private:
  std::string& out_;
  size_t start_;
};

struct Frame {
  Message type{};
  uint32_t seq = 0;
  std::string_view payload;
  size_t bytes = 0;  // of the frame, header included
};

// Parses a packet that must be exactly one frame. Errors: EBADMSG.
Result<Frame> parse_packet(std::string_view bytes);

// Parses the frame at the start of `bytes`. nullopt: the frame is not complete yet. Errors: EBADMSG
// it is not a knell frame.
Result<std::optional<Frame>> parse_frame(std::string_view bytes);

struct AttributeView {
  uint16_t type = 0;
  bool mandatory = false;
  std::string_view bytes;
};

// Iterates over the attributes of a payload. Ends at a malformed one; see malformed().
class AttributeReader {
 public:
  explicit AttributeReader(std::string_view payload) : rest_(payload) {}
  std::optional<AttributeView> next();
  bool malformed() const { return malformed_; }

 private:
  std::string_view rest_;
  bool malformed_ = false;
};

// Reads a structure from an attribute. Structures grow only at their end: further bytes of a later
// version are ignored, and members that a shorter one lacks keep their value. False: fewer than
// `least` bytes.
template <class T>
bool load(std::string_view bytes, T& value, size_t least = sizeof(T)) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < least) return false;
  std::memcpy(&value, bytes.data(), bytes.size() < sizeof value ? bytes.size() : sizeof value);
  return true;
}

}  // namespace knell::wire
