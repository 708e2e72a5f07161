// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell's own frames: the connector's framing (nlmsghdr, cn_msg, payload), with a value in cn_msg
// that is knell's, a message type in nlmsghdr, and netlink attributes as the payload. All integers
// are in the machine's byte order. docs/recording_format.md
// and docs/protocol.md are the grammar.
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

// nlmsghdr.nlmsg_type: above those that netlink keeps for itself.
enum class Message : uint16_t {
  kHello = 0x10,   // who writes, and what was subscribed to
  kEvents = 0x11,  // any number of events
  kEnd = 0x12,     // of a recording: nothing follows
  // over a socket: protocol.h
  kSubscribe = 0x13,
  kAck = 0x14,
  kAdd = 0x15,
  kRemove = 0x16,
  kStatus = 0x17,
  kStatusText = 0x18,
  kBye = 0x19,
};

// nlattr.nla_type. A reader passes over what it does not know, unless it is marked kMandatory.
inline constexpr uint16_t kMandatory = 0x4000;
inline constexpr uint16_t kTypeMask = 0x3fff;
enum Attribute : uint16_t {
  // hello
  kKnell = 1,         // string: the version of knell that wrote
  kKernel = 2,        // string: release, machine
  kBootId = 3,        // string: as in /proc/sys/kernel/random/boot_id
  kClock = 4,         // struct ClockOffsets
  kSubscription = 5,  // struct Recorded
  kSelection = 6,     // string: which processes, in words
  // hello, over a socket only
  kScope = 7,     // struct Scope
  kLimits = 8,    // struct Limits
  kQuiet = 9,     // u32, 1: no hello back
  kRule = 10,     // u32: 0 released, 1 v6; in a subscribe as well
  kOverrun = 11,  // u32, 1: what was lost is told by NLMSG_OVERRUN
  // events
  kEvent = 32,  // nested
  kEpoch = 33,  // s64: CLOCK_REALTIME less CLOCK_MONOTONIC, ns, for the events that follow
  // in an event, 40 to 63: see event/fields.h
  // end
  kTotals = 64,  // struct Totals
  // subscribe
  kMask = 80,           // u32: KNELL_EVENT_*
  kLevel = 81,          // u32: enum knell_level
  kDetails = 82,        // u32: enum knell_details
  kLatency = 83,        // s64, ns
  kOnlyAdded = 84,      // u32, 1: only of processes that are added
  kPredicateText = 85,  // nested: a predicate as text, up to knell 0.1 (86 and 87 in it); refused
  kArgsBytes = 88,      // u32: the most of an event's args; 0: as the daemon is set
  kPredicate = 91,      // nested: kKey, then values of it, of the kind that the key takes
  kKey = 92,            // struct PredicateKey
  kNumbers = 93,        // s64, any number of them
  kWord = 94,           // string; one value
  kWaysToEnd = 95,      // struct filter::Ended, any number of them
  // add, remove
  kPid = 96,  // struct Pid
  // ack, bye
  kError = 104,    // s32: 0 or a positive errno
  kText = 105,     // string: why, in one line
  kRequest = 106,  // u32: cn_msg.seq of the request
  // status text
  kJson = 112,  // string: a piece
};

inline constexpr size_t kHeaderBytes = sizeof(nlmsghdr) + sizeof(knell_cn_msg);
inline constexpr size_t kMostPayload = 0xfffc;  // cn_msg.len has 16 bits; whole words
inline constexpr size_t kMostFrame = kHeaderBytes + kMostPayload;

constexpr size_t padded(size_t bytes) { return (bytes + 3) & ~size_t{3}; }
constexpr size_t attribute_bytes(size_t payload) { return sizeof(nlattr) + padded(payload); }

// Puts a frame at the end of a string of bytes.
class FrameWriter {
 public:
  // `seq` counts the frames of one stream, from 0.
  FrameWriter(std::string& out, Message type, uint32_t seq);
  // Fills in the lengths; the frame is whole then.
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

// The frame that a packet is. Errors: EBADMSG, it is none of ours, or less or more than one.
Result<Frame> parse_packet(std::string_view bytes);

// The frame at the front of `bytes`. nullopt: its end is not there yet. Errors: EBADMSG, that is no
// frame of ours.
Result<std::optional<Frame>> parse_frame(std::string_view bytes);

struct AttributeView {
  uint16_t type = 0;
  bool mandatory = false;
  std::string_view bytes;
};

// Steps through attributes; what is malformed ends it, and broken() says so.
class AttributeReader {
 public:
  explicit AttributeReader(std::string_view payload) : rest_(payload) {}
  std::optional<AttributeView> next();
  bool broken() const { return broken_; }

 private:
  std::string_view rest_;
  bool broken_ = false;
};

// A structure of an attribute: it grows at its end only, so a longer one is of a later knell, and
// what is missing of a shorter one stays zero. `least`: bytes there must be.
template <class T>
bool load(std::string_view bytes, T& value, size_t least = sizeof(T)) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < least) return false;
  std::memcpy(&value, bytes.data(), bytes.size() < sizeof value ? bytes.size() : sizeof value);
  return true;
}

}  // namespace knell::wire
