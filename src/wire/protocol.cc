// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/protocol.h"

#include <algorithm>

namespace knell::wire {
namespace {

static_assert(sizeof(Scope) == 16 && sizeof(Limits) == 16 && sizeof(Pid) == 16);

constexpr size_t kMostKey = 32;           // longer than any key of filter/predicate.h
constexpr size_t kMostPiece = 32 * 1024;  // of a status text; picked: half a frame

// -------------------------------------------------------------------------------------- decoding

std::unexpected<Error> malformed(std::string_view message, uint16_t attribute) {
  return say(EBADMSG,
             std::string(message) + ": attribute " + std::to_string(attribute) + " is malformed");
}

std::unexpected<Error> not_known(std::string_view message, uint16_t attribute) {
  std::string what = "attribute " + std::to_string(attribute);
  if (attribute == kDurable) what += " (a durable listener)";
  if (attribute == kCursor) what += " (where a durable listener left off)";
  return say(EOPNOTSUPP, std::string(message) + ": " + what +
                             " is marked mandatory, and this knell does not know it");
}

// Gives each attribute to `take`, which says what became of it.
template <class Take>
Result<void> each(std::string_view message, std::string_view payload, Take take) {
  AttributeReader attributes(payload);
  while (const auto attribute = attributes.next()) {
    const Taken taken = take(*attribute);
    if (taken == Taken::kMalformed) return malformed(message, attribute->type);
    if (taken == Taken::kUnknown && attribute->mandatory)
      return not_known(message, attribute->type);
  }
  if (attributes.broken())
    return say(EBADMSG, std::string(message) + ": attributes that are none of netlink's form");
  return {};
}

template <class T>
Taken number(const AttributeView& attribute, T& value) {
  return load(attribute.bytes, value) ? Taken::kYes : Taken::kMalformed;
}

Taken flag(const AttributeView& attribute, bool& value) {
  uint32_t read = 0;
  if (!load(attribute.bytes, read)) return Taken::kMalformed;
  value = read != 0;
  return Taken::kYes;
}

Taken text(const AttributeView& attribute, std::string& value) {
  value = attribute.bytes.substr(0, kMostText);
  return Taken::kYes;
}

Taken take_predicate(const AttributeView& nest, Subscribe& subscribe) {
  if (subscribe.predicates.size() == kMostPredicates) return Taken::kMalformed;
  std::optional<std::string_view> key, value;
  AttributeReader attributes(nest.bytes);
  while (const auto attribute = attributes.next()) {
    if (attribute->type == kKey)
      key = attribute->bytes;
    else if (attribute->type == kValue)
      value = attribute->bytes;
    else if (attribute->mandatory)
      return Taken::kMalformed;
  }
  if (attributes.broken() || !key || !value || key->size() > kMostKey) return Taken::kMalformed;
  subscribe.predicates.emplace_back(*key, *value);
  return Taken::kYes;
}

Taken take_of_subscribe(const AttributeView& attribute, Subscribe& subscribe) {
  switch (attribute.type) {
    case kMask:
      return number(attribute, subscribe.mask);
    case kLevel:
      return number(attribute, subscribe.level);
    case kDetails:
      return number(attribute, subscribe.details);
    case kLatency:
      return number(attribute, subscribe.latency_ns);
    case kRule:
      return number(attribute, subscribe.rule);
    case kOnlyAdded:
      return flag(attribute, subscribe.only_added);
    case kArgsBytes:
      return number(attribute, subscribe.args_bytes);
    case kPredicate:
      return take_predicate(attribute, subscribe);
    default:
      return Taken::kUnknown;
  }
}

Result<void> check(const Subscribe& subscribe) {
  const auto wrong = [](std::string_view what) {
    return say(EINVAL, "subscribe: " + std::string(what));
  };
  if (subscribe.level > KNELL_LEVEL_RAW) return wrong("the level is 0 (process) or 1 (raw)");
  if (subscribe.details > KNELL_DETAILS_STATUS)
    return wrong("details are 0 (full), 1 (names) or 2 (status)");
  constexpr int64_t kMostLatency = 60'000'000'000;
  if (subscribe.latency_ns < 0 || subscribe.latency_ns > kMostLatency)
    return wrong("the latency budget is between 0 and 60 s");
  if (subscribe.rule > kRuleV6) return wrong("the rule is 0 (released) or 1 (v6)");
  return {};
}

// -------------------------------------------------------------------------------------- encoding

std::string_view cut(std::string_view text) { return text.substr(0, kMostText); }

// A frame that `fill` fills.
template <class Fill>
std::string framed(Message type, uint32_t seq, Fill fill) {
  std::string out;
  FrameWriter frame(out, type, seq);
  fill(frame);
  frame.finish();
  return out;
}

void put_flag(FrameWriter& frame, uint16_t type, bool value) {
  if (value) frame.attribute(type, uint32_t{1});
}

size_t predicate_bytes(std::string_view key, std::string_view value) {
  return attribute_bytes(attribute_bytes(key.size()) + attribute_bytes(value.size()));
}

void put_predicate(FrameWriter& frame, std::string_view key, std::string_view value) {
  const size_t bytes = predicate_bytes(key, value);
  const nlattr nest{.nla_len = static_cast<uint16_t>(bytes), .nla_type = kPredicate};
  frame.out().append(reinterpret_cast<const char*>(&nest), sizeof nest);
  frame.attribute(kKey, key);
  frame.attribute(kValue, value);
}

}  // namespace

std::string encode(const ClientHello& hello, uint32_t seq) {
  return framed(Message::kHello, seq, [&](FrameWriter& frame) {
    frame.attribute(kKnell, cut(hello.knell));
    if (hello.rule) frame.attribute(kRule, *hello.rule);
    put_flag(frame, kOverrun, hello.overrun);
    put_flag(frame, kQuiet, hello.quiet);
  });
}

std::string encode(const ServerHello& hello, uint32_t seq) {
  return framed(Message::kHello, seq, [&](FrameWriter& frame) {
    put_origin(frame, hello.origin);
    frame.attribute(kScope, hello.scope);
    frame.attribute(kLimits, hello.limits);
  });
}

Result<std::string> encode(const Subscribe& subscribe, uint32_t seq) {
  if (subscribe.predicates.size() > kMostPredicates)
    return say(EINVAL, "a subscription takes " + std::to_string(kMostPredicates) +
                           " predicates at the most");
  std::string out;
  FrameWriter frame(out, Message::kSubscribe, seq);
  frame.attribute(kMask, subscribe.mask);
  frame.attribute(kLevel, subscribe.level);
  frame.attribute(kDetails, subscribe.details);
  frame.attribute(kLatency, subscribe.latency_ns);
  if (subscribe.rule != kRuleReleased) frame.attribute(kRule, subscribe.rule);
  put_flag(frame, kOnlyAdded, subscribe.only_added);
  if (subscribe.args_bytes != 0) frame.attribute(kArgsBytes, subscribe.args_bytes);
  for (const auto& [key, value] : subscribe.predicates) {
    if (key.size() > kMostKey || predicate_bytes(key, value) > frame.room())
      return say(EINVAL, "the predicates of a subscription take 64 KiB at the most");
    put_predicate(frame, key, value);
  }
  frame.finish();
  return out;
}

std::string encode(Message add_or_remove, std::span<const Pid> pids, uint32_t seq) {
  KNELL_CHECK(!pids.empty() && pids.size() <= kMostPids);
  return framed(add_or_remove, seq, [&](FrameWriter& frame) {
    for (const Pid& pid : pids) frame.attribute(kPid, pid);
  });
}

std::string encode_status_request(uint32_t seq) {
  return framed(Message::kStatus, seq, [](FrameWriter&) {});
}

std::string encode_status_text(std::string_view& json, uint32_t seq) {
  const std::string_view piece = json.substr(0, kMostPiece);
  json.remove_prefix(piece.size());
  return framed(Message::kStatusText, seq,
                [&](FrameWriter& frame) { frame.attribute(kJson, piece); });
}

std::string encode(const Ack& ack, uint32_t seq) {
  return framed(Message::kAck, seq, [&](FrameWriter& frame) {
    frame.attribute(kError, ack.error);
    frame.attribute(kRequest, ack.request);
    if (!ack.text.empty()) frame.attribute(kText, cut(ack.text));
  });
}

std::string encode(const Bye& bye, uint32_t seq) {
  return framed(Message::kBye, seq, [&](FrameWriter& frame) {
    frame.attribute(kError, bye.error);
    frame.attribute(kText, cut(bye.text));
  });
}

Result<ClientHello> decode_client_hello(std::string_view payload) {
  ClientHello hello;
  KNELL_TRY(each("hello", payload, [&](const AttributeView& attribute) {
    switch (attribute.type) {
      case kKnell:
        return text(attribute, hello.knell);
      case kRule:
        return number(attribute, hello.rule.emplace());
      case kOverrun:
        return flag(attribute, hello.overrun);
      case kQuiet:
        return flag(attribute, hello.quiet);
      default:
        return Taken::kUnknown;
    }
  }));
  if (hello.rule && *hello.rule > kRuleV6)
    return say(EINVAL, "hello: the rule is 0 (released) or 1 (v6)");
  return hello;
}

Result<ServerHello> decode_server_hello(std::string_view payload) {
  ServerHello hello;
  hello.limits = {};
  KNELL_TRY(each("hello", payload, [&](const AttributeView& attribute) {
    if (attribute.type == kScope) return number(attribute, hello.scope);
    if (attribute.type == kLimits) return number(attribute, hello.limits);
    return take_origin(attribute, hello.origin);
  }));
  return hello;
}

Result<Subscribe> decode_subscribe(std::string_view payload) {
  Subscribe subscribe;
  KNELL_TRY(each("subscribe", payload, [&](const AttributeView& attribute) {
    return take_of_subscribe(attribute, subscribe);
  }));
  KNELL_TRY(check(subscribe));
  return subscribe;
}

Result<std::vector<Pid>> decode_pids(std::string_view payload) {
  std::vector<Pid> pids;
  KNELL_TRY(each("add or remove", payload, [&](const AttributeView& attribute) {
    if (attribute.type != kPid) return Taken::kUnknown;
    Pid pid{};
    if (!load(attribute.bytes, pid) || pid.pid <= 0) return Taken::kMalformed;
    pids.push_back(pid);
    return Taken::kYes;
  }));
  if (pids.empty()) return say(EBADMSG, "add or remove: no process is named");
  return pids;
}

Result<void> decode_status_request(std::string_view payload) {
  return each("status", payload, [](const AttributeView&) { return Taken::kUnknown; });
}

Result<std::string_view> decode_status_text(std::string_view payload) {
  std::string_view json;
  KNELL_TRY(each("status text", payload, [&](const AttributeView& attribute) {
    if (attribute.type != kJson) return Taken::kUnknown;
    json = attribute.bytes;
    return Taken::kYes;
  }));
  return json;
}

Result<Ack> decode_ack(std::string_view payload) {
  Ack ack;
  bool told = false;
  KNELL_TRY(each("ack", payload, [&](const AttributeView& attribute) {
    switch (attribute.type) {
      case kError:
        told = true;
        return number(attribute, ack.error);
      case kRequest:
        return number(attribute, ack.request);
      case kText:
        return text(attribute, ack.text);
      default:
        return Taken::kUnknown;
    }
  }));
  if (!told || ack.error < 0) return say(EBADMSG, "ack: it does not say how the request went");
  return ack;
}

Result<Bye> decode_bye(std::string_view payload) {
  Bye bye;
  KNELL_TRY(each("bye", payload, [&](const AttributeView& attribute) {
    if (attribute.type == kError) return number(attribute, bye.error);
    if (attribute.type == kText) return text(attribute, bye.text);
    return Taken::kUnknown;
  }));
  if (bye.error < 0) return say(EBADMSG, "bye: an errno is not negative");
  return bye;
}

}  // namespace knell::wire
