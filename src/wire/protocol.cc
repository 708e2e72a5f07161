// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/protocol.h"

#include <algorithm>
#include <utility>

namespace knell::wire {
namespace {

using filter::Ended;
using filter::Predicate;

struct PredicateKey {
  static constexpr uint32_t kExcluded = 1;
  uint32_t key;  // filter::Key
  uint32_t flags;
};

// A subscription, with numbers that are not yet checked.
struct UncheckedSubscription {
  filter::Subscription subscription;
  uint32_t level = KNELL_LEVEL_PROCESS;
  uint32_t rule = kRuleReleased;
};

// The search state of a HistoryPlace.
struct SearchedSeqs {
  int64_t last_seq, searched_seq;
};

static_assert(sizeof(SearchedSeqs) == 16);
static_assert(sizeof(Scope) == 16 && sizeof(ServerLimits) == 16 && sizeof(AddedProcess) == 16 &&
              sizeof(PredicateKey) == 8 && sizeof(Ended) == 8);

// Bytes of a piece of the status; chosen, not measured: half a frame.
constexpr size_t kMostPiece = 32 * 1024;

// -------------------------------------------------------------------------------------- decoding

std::unexpected<Error> malformed(std::string_view message, uint16_t attribute) {
  return say(EBADMSG,
             std::string(message) + ": attribute " + std::to_string(attribute) + " is malformed");
}

std::unexpected<Error> not_known(std::string_view message, uint16_t attribute) {
  return say(EOPNOTSUPP, std::string(message) + ": attribute " + std::to_string(attribute) +
                             " is mandatory, but unknown to this version of knell");
}

// Calls `read` with each attribute.
template <class Read>
Result<void> each(std::string_view message, std::string_view payload, Read read) {
  AttributeReader attributes(payload);
  while (const auto attribute = attributes.next()) {
    const AttributeResult result = read(*attribute);
    if (result == AttributeResult::kMalformed) return malformed(message, attribute->type);
    if (result == AttributeResult::kUnknown && attribute->mandatory)
      return not_known(message, attribute->type);
  }
  if (attributes.malformed())
    return say(EBADMSG, std::string(message) + ": malformed netlink attributes");
  return {};
}

template <class T>
AttributeResult read_value(const AttributeView& attribute, T& value) {
  return load(attribute.bytes, value) ? AttributeResult::kKnown : AttributeResult::kMalformed;
}

AttributeResult read_flag(const AttributeView& attribute, bool& value) {
  uint32_t read = 0;
  if (!load(attribute.bytes, read)) return AttributeResult::kMalformed;
  value = read != 0;
  return AttributeResult::kKnown;
}

AttributeResult read_text(const AttributeView& attribute, std::string& value) {
  value = attribute.bytes.substr(0, kMostText);
  return AttributeResult::kKnown;
}

AttributeResult read_durable_text(const AttributeView& attribute, std::string& value) {
  if (attribute.bytes.empty() || attribute.bytes.size() > kMostDurableText)
    return AttributeResult::kMalformed;
  value = attribute.bytes;
  return AttributeResult::kKnown;
}

// Each T in `bytes` is a value of the predicate.
template <class T>
bool read_array(std::string_view bytes, const Predicate& key, std::vector<Predicate>& all) {
  if (bytes.empty() || bytes.size() % sizeof(T) != 0) return false;
  for (; !bytes.empty(); bytes.remove_prefix(sizeof(T))) {
    T value{};
    (void)load(bytes, value);
    all.emplace_back(key).value = value;
  }
  return true;
}

// Reads the values, which follow the key.
Result<void> read_values(AttributeReader& attributes, const Predicate& key,
                         std::vector<Predicate>& all) {
  const size_t before = all.size();
  while (const auto attribute = attributes.next()) {
    bool good = true;
    if (attribute->type == kNumbers)
      good = read_array<int64_t>(attribute->bytes, key, all);
    else if (attribute->type == kWaysToEnd)
      good = read_array<Ended>(attribute->bytes, key, all);
    else if (attribute->type == kWord)
      all.emplace_back(key).value = std::string(attribute->bytes);
    else if (attribute->type == kKey)
      good = false;  // a second key
    else if (attribute->mandatory)
      return not_known("subscribe", attribute->type);
    if (!good) return malformed("subscribe", kPredicate);
  }
  if (attributes.malformed() || all.size() == before) return malformed("subscribe", kPredicate);
  for (size_t i = before; i < all.size(); ++i) {
    const Ended* ended = std::get_if<Ended>(&all[i].value);
    if (ended != nullptr && ended->kind > Ended::Kind::kUnknown)
      return say(EOPNOTSUPP, "subscribe: kind " +
                                 std::to_string(static_cast<unsigned>(ended->kind)) +
                                 " of `ended` is unknown to this version of knelld");
    KNELL_TRY(filter::check(all[i]));
  }
  return {};
}

Result<void> read_predicate(const AttributeView& nest, std::vector<Predicate>& all) {
  if (nest.type == kPredicateText)
    return say(
        EOPNOTSUPP,
        "subscribe: attribute 85, a predicate as text, is of an older version of knell; update "
        "the libknell of the client");
  AttributeReader attributes(nest.bytes);
  const auto first = attributes.next();
  PredicateKey head{};
  if (!first || first->type != kKey || first->bytes.size() != sizeof head ||
      !load(first->bytes, head))
    return malformed("subscribe", kPredicate);
  const Predicate key{.key = static_cast<filter::Key>(head.key),
                      .excluded = (head.flags & PredicateKey::kExcluded) != 0,
                      .value = {}};
  // Must not be ignored: more events would pass than the client requested.
  if (filter::name_of(key.key).empty() || (head.flags & ~PredicateKey::kExcluded) != 0)
    return say(EOPNOTSUPP, "subscribe: predicate " + std::to_string(head.key) + " with flags " +
                               std::to_string(head.flags) +
                               " is unknown to this version of knelld");
  return read_values(attributes, key, all);
}

AttributeResult read_of_subscribe(const AttributeView& attribute, UncheckedSubscription& asked) {
  filter::Subscription& subscribe = asked.subscription;
  switch (attribute.type) {
    case kMask:
      return read_value(attribute, subscribe.mask);
    case kLevel:
      return read_value(attribute, asked.level);
    case kDetails:
      return read_value(attribute, subscribe.details);
    case kLatency:
      return read_value(attribute, subscribe.latency_ns);
    case kUnderLoad:
      return read_value(attribute, subscribe.under_load_ns);
    case kRule:
      return read_value(attribute, asked.rule);
    case kOnlyAdded:
      return read_flag(attribute, subscribe.only_added);
    case kArgsBytes:
      return read_value(attribute, subscribe.args_bytes);
    case kRecover:
      return read_flag(attribute, subscribe.recover);
    case kDurable:
    case kFrom:
    case kCursor:
    case kMostUnacked:
      return AttributeResult::kKnown;  // see decode_durable()
    default:
      return AttributeResult::kUnknown;
  }
}

Result<void> check(const UncheckedSubscription& asked) {
  const filter::Subscription& subscribe = asked.subscription;
  const auto wrong = [](std::string_view what) {
    return say(EINVAL, "subscribe: " + std::string(what));
  };
  if (asked.level > KNELL_LEVEL_RAW) return wrong("the level must be 0 (process) or 1 (raw)");
  if (subscribe.details > KNELL_DETAILS_STATUS)
    return wrong("details must be 0 (full), 1 (names) or 2 (status)");
  constexpr int64_t kMostLatency = 60'000'000'000;
  for (const int64_t latency_ns : {subscribe.latency_ns, subscribe.under_load_ns})
    if (latency_ns < 0 || latency_ns > kMostLatency)
      return wrong("the latency must be from 0 to 60 s");
  if (subscribe.recover && asked.level == KNELL_LEVEL_RAW)
    return wrong("lost events of threads (level raw) cannot be recovered");
  if (asked.rule > kRuleV6) return wrong("the rule must be 0 (released) or 1 (v6)");
  return {};
}

// Calls `read` with each attribute that is not a predicate.
template <class Read>
Result<void> each_with_predicates(std::string_view message, std::string_view payload,
                                  std::vector<Predicate>& all, Read read) {
  Result<void> refused;  // the error of the first refused predicate
  size_t predicates = 0;
  KNELL_TRY(each(message, payload, [&](const AttributeView& attribute) {
    if (attribute.type != kPredicate && attribute.type != kPredicateText) return read(attribute);
    if (++predicates > kMostPredicates) return AttributeResult::kMalformed;
    if (refused) refused = read_predicate(attribute, all);
    return AttributeResult::kKnown;
  }));
  return refused;
}

// kUnknown: the attribute does not belong to a position.
AttributeResult read_place(const AttributeView& attribute, HistoryPlace& place) {
  SearchedSeqs searched{};
  switch (attribute.type) {
    case kCursor:
      return read_durable_text(attribute, place.cursor);
    case kLast:
      return read_value(attribute, place.last);
    case kSearched:
      if (!load(attribute.bytes, searched) || searched.last_seq < 0 || searched.searched_seq < 0)
        return AttributeResult::kMalformed;
      place.last_seq = searched.last_seq;
      place.searched_seq = searched.searched_seq;
      return AttributeResult::kKnown;
    default:
      return AttributeResult::kUnknown;
  }
}

AttributeResult read_of_history(const AttributeView& attribute, History& history) {
  switch (attribute.type) {
    case kMask:
      return read_value(attribute, history.wanted.mask);
    case kDetails:
      return read_value(attribute, history.wanted.details);
    case kSince:
      return read_value(attribute, history.since_ns);
    case kUntil:
      return read_value(attribute, history.until_ns);
    case kBoot:
      return read_value(attribute, history.boot);
    case kWait:
      return read_flag(attribute, history.wait);
    default:
      return read_place(attribute, history.place);
  }
}

// -------------------------------------------------------------------------------------- encoding

std::string_view cut(std::string_view text) { return text.substr(0, kMostText); }

// Makes a frame; `fill` writes its attributes.
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

void put_place(FrameWriter& frame, const HistoryPlace& place) {
  if (!place.cursor.empty()) frame.attribute(kCursor, std::string_view(place.cursor));
  frame.attribute(kSearched, SearchedSeqs{place.last_seq, place.searched_seq});
  if (place.last != 0) frame.attribute(kLast, place.last);
}

std::string_view bytes_of(const Predicate& one) {
  if (const auto* text = std::get_if<std::string>(&one.value)) return *text;
  if (const auto* ended = std::get_if<Ended>(&one.value))
    return {reinterpret_cast<const char*>(ended), sizeof *ended};
  return {reinterpret_cast<const char*>(std::get_if<int64_t>(&one.value)), sizeof(int64_t)};
}

// Writes values of one kind and key: each text as an attribute, all numbers in one attribute.
void put_values(FrameWriter& frame, std::span<const Predicate> some) {
  if (std::holds_alternative<std::string>(some.front().value)) {
    for (const Predicate& one : some) frame.attribute(kWord, bytes_of(one));
    return;
  }
  std::string together;
  for (const Predicate& one : some) together += bytes_of(one);
  const bool numbers = std::holds_alternative<int64_t>(some.front().value);
  frame.attribute(numbers ? kNumbers : kWaysToEnd, std::string_view(together));
}

size_t predicate_bytes(std::span<const Predicate> some) {
  size_t values = 0;
  for (const Predicate& one : some)
    values += std::holds_alternative<std::string>(one.value) ? attribute_bytes(bytes_of(one).size())
                                                             : bytes_of(one).size();
  if (!std::holds_alternative<std::string>(some.front().value)) values = attribute_bytes(values);
  return attribute_bytes(attribute_bytes(sizeof(PredicateKey)) + values);
}

// `some`: of one key and kind, either all excluded or all wanted.
Result<void> put_predicate(FrameWriter& frame, std::span<const Predicate> some) {
  const size_t bytes = predicate_bytes(some);
  if (bytes > frame.room())
    return say(EINVAL, "the predicates of a subscription must not exceed 64 KiB");
  const nlattr nest{.nla_len = static_cast<uint16_t>(bytes), .nla_type = kPredicate | kMandatory};
  frame.out().append(reinterpret_cast<const char*>(&nest), sizeof nest);
  const PredicateKey key{.key = static_cast<uint32_t>(some.front().key),
                         .flags = some.front().excluded ? PredicateKey::kExcluded : 0};
  frame.attribute(kKey, key);
  put_values(frame, some);
  return {};
}

Result<void> put_predicates(FrameWriter& frame, std::span<const Predicate> all) {
  const auto same = [](const Predicate& a, const Predicate& b) {
    return a.key == b.key && a.excluded == b.excluded && a.value.index() == b.value.index();
  };
  while (!all.empty()) {
    size_t count = 1;
    while (count < all.size() && same(all.front(), all[count])) ++count;
    KNELL_TRY(put_predicate(frame, all.first(count)));
    all = all.subspan(count);
  }
  return {};
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

Result<std::string> encode(const filter::Subscription& subscription, uint32_t seq,
                           const Durable* durable) {
  KNELL_CHECK(subscription.stream != filter::Stream::kDatagrams);
  std::string out;
  FrameWriter frame(out, Message::kSubscribe, seq);
  frame.attribute(kMask, subscription.mask);
  const bool threads = subscription.stream == filter::Stream::kThreads;
  frame.attribute(kLevel, uint32_t{threads ? KNELL_LEVEL_RAW : KNELL_LEVEL_PROCESS});
  frame.attribute(kDetails, subscription.details);
  frame.attribute(kLatency, subscription.latency_ns);
  if (subscription.under_load_ns != 0) frame.attribute(kUnderLoad, subscription.under_load_ns);
  if (subscription.rule == filter::Rule::kV6) frame.attribute(kRule, kRuleV6);
  put_flag(frame, kOnlyAdded, subscription.only_added);
  put_flag(frame, kRecover | kMandatory, subscription.recover);
  if (subscription.args_bytes != 0) frame.attribute(kArgsBytes, subscription.args_bytes);
  if (durable != nullptr) {
    frame.attribute(kDurable | kMandatory, std::string_view(durable->name));
    frame.attribute(kFrom, durable->from);
    if (!durable->cursor.empty()) frame.attribute(kCursor, std::string_view(durable->cursor));
    frame.attribute(kMostUnacked, durable->most_unacked);
  }
  KNELL_TRY(put_predicates(frame, subscription.predicates));
  frame.finish();
  return out;
}

std::string encode(const Acknowledge& acknowledge, uint32_t seq) {
  return framed(Message::kAcknowledge, seq, [&](FrameWriter& frame) {
    if (!acknowledge.cursor.empty()) frame.attribute(kCursor, std::string_view(acknowledge.cursor));
    if (acknowledge.failed != 0) frame.attribute(kFailed, acknowledge.failed);
  });
}

std::string encode(const Forget& forget, uint32_t seq) {
  return framed(Message::kForget, seq, [&](FrameWriter& frame) {
    frame.attribute(kDurable, std::string_view(forget.name));
    if (forget.owner) frame.attribute(kOwner, *forget.owner);
  });
}

Result<std::string> encode(const History& history, uint32_t seq) {
  std::string out;
  FrameWriter frame(out, Message::kHistory, seq);
  frame.attribute(kMask, history.wanted.mask);
  frame.attribute(kDetails, history.wanted.details);
  if (history.since_ns != 0) frame.attribute(kSince, history.since_ns);
  if (history.until_ns != 0) frame.attribute(kUntil, history.until_ns);
  if (history.boot != 0) frame.attribute(kBoot | kMandatory, history.boot);
  put_flag(frame, kWait, history.wait);
  put_place(frame, history.place);
  KNELL_TRY(put_predicates(frame, history.wanted.predicates));
  frame.finish();
  return out;
}

std::string encode(const Page& page, uint32_t seq) {
  return framed(Message::kPage, seq, [&](FrameWriter& frame) {
    put_place(frame, page.next);
    put_flag(frame, kEndOfPast, page.end);
  });
}

std::string encode(Message add_or_remove, std::span<const AddedProcess> pids, uint32_t seq) {
  KNELL_CHECK(!pids.empty() && pids.size() <= kMostPids);
  return framed(add_or_remove, seq, [&](FrameWriter& frame) {
    for (const AddedProcess& pid : pids) frame.attribute(kPid, pid);
  });
}

std::string encode_status_request(uint32_t seq) {
  return framed(Message::kStatus, seq, [](FrameWriter&) {});
}

std::string encode_snapshot_request(uint32_t seq) {
  return framed(Message::kSnapshot, seq, [](FrameWriter&) {});
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
        return read_text(attribute, hello.knell);
      case kRule:
        return read_value(attribute, hello.rule.emplace());
      case kOverrun:
        return read_flag(attribute, hello.overrun);
      case kQuiet:
        return read_flag(attribute, hello.quiet);
      default:
        return AttributeResult::kUnknown;
    }
  }));
  if (hello.rule && *hello.rule > kRuleV6)
    return say(EINVAL, "hello: the rule must be 0 (released) or 1 (v6)");
  return hello;
}

Result<ServerHello> decode_server_hello(std::string_view payload) {
  ServerHello hello;
  hello.limits = {};
  KNELL_TRY(each("hello", payload, [&](const AttributeView& attribute) {
    if (attribute.type == kScope) return read_value(attribute, hello.scope);
    if (attribute.type == kLimits) return read_value(attribute, hello.limits);
    return read_origin(attribute, hello.origin);
  }));
  return hello;
}

Result<filter::Subscription> decode_subscribe(std::string_view payload) {
  UncheckedSubscription asked;
  filter::Subscription& subscription = asked.subscription;
  KNELL_TRY(each_with_predicates(
      "subscribe", payload, subscription.predicates,
      [&](const AttributeView& attribute) { return read_of_subscribe(attribute, asked); }));
  KNELL_TRY(check(asked));
  subscription.mask = filter::normalise(subscription.mask);
  if (asked.level == KNELL_LEVEL_RAW) subscription.stream = filter::Stream::kThreads;
  if (asked.rule == kRuleV6) subscription.rule = filter::Rule::kV6;
  return std::move(subscription);
}

Result<std::optional<Durable>> decode_durable(std::string_view payload) {
  Durable durable;
  bool is_durable = false;
  KNELL_TRY(each("subscribe", payload, [&](const AttributeView& attribute) {
    switch (attribute.type) {
      case kDurable:
        is_durable = true;
        return read_durable_text(attribute, durable.name);
      case kFrom:
        return read_value(attribute, durable.from);
      case kCursor:
        return read_durable_text(attribute, durable.cursor);
      case kMostUnacked:
        return read_value(attribute, durable.most_unacked);
      default:
        return AttributeResult::kKnown;
    }
  }));
  if (!is_durable) return std::nullopt;
  if (durable.from > KNELL_FROM_NEWEST)
    return say(EINVAL, "subscribe: from must be 0 (acknowledged), 1 (oldest) or 2 (newest)");
  if (durable.most_unacked == 0) durable.most_unacked = kDefaultUnacked;
  if (durable.most_unacked > kMostUnackedEvents)
    return say(EINVAL, "subscribe: at most " + std::to_string(kMostUnackedEvents) +
                           " events can be without an acknowledgement");
  return durable;
}

Result<Acknowledge> decode_acknowledge(std::string_view payload) {
  Acknowledge acknowledge;
  KNELL_TRY(each("acknowledge", payload, [&](const AttributeView& attribute) {
    if (attribute.type == kCursor) return read_durable_text(attribute, acknowledge.cursor);
    if (attribute.type == kFailed) return read_value(attribute, acknowledge.failed);
    return AttributeResult::kUnknown;
  }));
  return acknowledge;
}

Result<Forget> decode_forget(std::string_view payload) {
  Forget forget;
  KNELL_TRY(each("forget", payload, [&](const AttributeView& attribute) {
    if (attribute.type == kDurable) return read_durable_text(attribute, forget.name);
    if (attribute.type == kOwner) return read_value(attribute, forget.owner.emplace());
    return AttributeResult::kUnknown;
  }));
  if (forget.name.empty()) return say(EBADMSG, "forget: attribute 98 (the name) is missing");
  return forget;
}

Result<History> decode_history(std::string_view payload) {
  History history;
  filter::Subscription& wanted = history.wanted;
  KNELL_TRY(each_with_predicates(
      "history", payload, wanted.predicates,
      [&](const AttributeView& attribute) { return read_of_history(attribute, history); }));
  if (wanted.details > KNELL_DETAILS_STATUS)
    return say(EINVAL, "history: details must be 0 (full), 1 (names) or 2 (status)");
  if (history.since_ns < 0 || history.until_ns < 0)
    return say(EINVAL, "history: times must not be negative");
  if (history.wait && history.until_ns != 0)
    return say(EINVAL, "history: a request cannot have a last time and wait for later events");
  for (const Predicate& one : wanted.predicates)
    if (one.key == filter::Key::kUnder)
      return say(EINVAL,
                 "history: the journal does not store the ancestors of processes; the client must "
                 "evaluate "
                 "`under` itself");
  wanted.mask = filter::normalise(wanted.mask);
  return history;
}

Result<Page> decode_page(std::string_view payload) {
  Page page;
  KNELL_TRY(each("page", payload, [&](const AttributeView& attribute) {
    if (attribute.type == kEndOfPast) return read_flag(attribute, page.end);
    return read_place(attribute, page.next);
  }));
  return page;
}

Result<std::vector<AddedProcess>> decode_pids(std::string_view payload) {
  std::vector<AddedProcess> pids;
  KNELL_TRY(each("add or remove", payload, [&](const AttributeView& attribute) {
    if (attribute.type != kPid) return AttributeResult::kUnknown;
    AddedProcess pid{};
    if (!load(attribute.bytes, pid) || pid.pid <= 0) return AttributeResult::kMalformed;
    pids.push_back(pid);
    return AttributeResult::kKnown;
  }));
  if (pids.empty()) return say(EBADMSG, "add or remove: the process is missing");
  return pids;
}

Result<void> decode_status_request(std::string_view payload) {
  return each("status", payload, [](const AttributeView&) { return AttributeResult::kUnknown; });
}

Result<void> decode_snapshot_request(std::string_view payload) {
  return each("snapshot", payload, [](const AttributeView&) { return AttributeResult::kUnknown; });
}

Result<std::string_view> decode_status_text(std::string_view payload) {
  std::string_view json;
  KNELL_TRY(each("status text", payload, [&](const AttributeView& attribute) {
    if (attribute.type != kJson) return AttributeResult::kUnknown;
    json = attribute.bytes;
    return AttributeResult::kKnown;
  }));
  return json;
}

Result<Ack> decode_ack(std::string_view payload) {
  Ack ack;
  bool has_error = false;
  KNELL_TRY(each("ack", payload, [&](const AttributeView& attribute) {
    switch (attribute.type) {
      case kError:
        has_error = true;
        return read_value(attribute, ack.error);
      case kRequest:
        return read_value(attribute, ack.request);
      case kText:
        return read_text(attribute, ack.text);
      default:
        return AttributeResult::kUnknown;
    }
  }));
  if (!has_error || ack.error < 0)
    return say(EBADMSG, "ack: attribute 104 (error) is missing or negative");
  return ack;
}

Result<Bye> decode_bye(std::string_view payload) {
  Bye bye;
  KNELL_TRY(each("bye", payload, [&](const AttributeView& attribute) {
    if (attribute.type == kError) return read_value(attribute, bye.error);
    if (attribute.type == kText) return read_text(attribute, bye.text);
    return AttributeResult::kUnknown;
  }));
  if (bye.error < 0) return say(EBADMSG, "bye: attribute 104 (error) is negative");
  return bye;
}

}  // namespace knell::wire
