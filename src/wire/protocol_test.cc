// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/protocol.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "filter/predicate_for_test.h"
#include "wire/event.h"
#include "wire/event_for_test.h"

namespace knell::wire {
namespace {

using filter::any_signal;
using filter::codes;
using filter::excludes;
using filter::Key;
using filter::wants;

// The payload of a packet that must be one whole frame.
std::string_view payload(const std::string& packet, Message type, uint32_t seq) {
  const auto frame = parse_packet(packet);
  EXPECT_TRUE(frame) << frame.error().message();
  if (!frame) return {};
  EXPECT_EQ(frame->type, type);
  EXPECT_EQ(frame->seq, seq);
  return frame->payload;
}

std::string attributes(std::initializer_list<std::pair<uint16_t, std::string>> all) {
  std::string out;
  FrameWriter frame(out, Message::kSubscribe, 0);
  for (const auto& [type, bytes] : all) frame.attribute(type, std::string_view(bytes));
  return out.substr(kHeaderBytes);
}

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

filter::Subscription full_subscribe() {
  return {.stream = filter::Stream::kThreads,
          .mask = KNELL_EVENT_NONZERO_EXIT,
          .rule = filter::Rule::kV6,
          .details = KNELL_DETAILS_STATUS,
          .latency_ns = 10'000'000,
          .under_load_ns = 20'000'000,
          .args_bytes = 256,
          .predicates = {wants(Key::kUnit, "postgresql@*"), wants(Key::kUnit, "cron"),
                         excludes(wants(Key::kComm, "grep")), wants(Key::kPid, 1),
                         wants(Key::kPid, 7), wants(codes(2, 255)), wants(any_signal()),
                         wants(Key::kCgroup, ""), wants(Key::kLonger, 0)},
          .only_added = true};
}

TEST(Protocol, RecoveryIsOfProcessesAndIsNotIgnored) {
  filter::Subscription asked{.recover = true};
  const auto packet = encode(asked, 1);
  ASSERT_TRUE(packet);
  const auto again = decode_subscribe(payload(*packet, Message::kSubscribe, 1));
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_TRUE(again->recover);
  // A server that does not know the attribute refuses it.
  const uint16_t mandatory = kRecover | kMandatory;
  EXPECT_NE(packet->find(bytes_of(mandatory)), std::string::npos);
  asked.stream = filter::Stream::kThreads;
  const auto refused = decode_subscribe(payload(*encode(asked, 1), Message::kSubscribe, 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
}

TEST(Protocol, AClientHelloSurvivesEncodingAndDecoding) {
  for (const ClientHello& hello :
       {ClientHello{},
        ClientHello{.knell = "0.1.0", .rule = kRuleV6, .overrun = true, .quiet = true},
        ClientHello{.knell = "", .rule = kRuleReleased}}) {
    const auto again = decode_client_hello(payload(encode(hello, 3), Message::kHello, 3));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, hello);
  }
}

TEST(Protocol, AServerHelloSurvivesEncodingAndDecoding) {
  const ServerHello hello{
      .origin = {.knell = "0.1.0",
                 .kernel = "Linux 6.18 x86_64",
                 .boot_id = "6fa276d3-0000-4000-8000-000000000000",
                 .clock = {.epoch_ns = 5, .boot_ahead_ns = 6},
                 .subscription = {.mask = 0, .level = 0, .details = 0, .via = 2, .started_ns = 7},
                 .selection = ""},
      .scope = {.flags = Scope::kOwnUid, .uid = 65534, .namespace_depth = 0, .reserved = 0}};
  const auto again = decode_server_hello(payload(encode(hello, 0), Message::kHello, 0));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->scope, hello.scope);
  EXPECT_EQ(again->limits, kOurLimits);
  EXPECT_EQ(again->origin.boot_id, hello.origin.boot_id);
  EXPECT_EQ(again->origin.subscription.via, 2u);
  EXPECT_EQ(again->origin.clock.boot_ahead_ns, 6);
}

TEST(Protocol, ASubscribeSurvivesEncodingAndDecoding) {
  for (const filter::Subscription& subscribe : {filter::Subscription{}, full_subscribe()}) {
    const auto packet = encode(subscribe, 9);
    ASSERT_TRUE(packet);
    const auto again = decode_subscribe(payload(*packet, Message::kSubscribe, 9));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(*again, subscribe);
  }
}

TEST(Protocol, TheMessagesOfDurableListenersSurviveEncodingAndDecoding) {
  const Durable durable{
      .name = "n", .from = KNELL_FROM_OLDEST, .cursor = "k1:x:7", .most_unacked = 5};
  const std::string subscribe = *encode(filter::Subscription{}, 3, &durable);
  EXPECT_TRUE(decode_subscribe(payload(subscribe, Message::kSubscribe, 3)));
  EXPECT_EQ(decode_durable(payload(subscribe, Message::kSubscribe, 3)), durable);
  const std::string plain = *encode(filter::Subscription{}, 3);
  EXPECT_EQ(decode_durable(payload(plain, Message::kSubscribe, 3)), std::nullopt);
  const Acknowledge acknowledge{.cursor = "k1:x:8", .failed = 2};
  EXPECT_EQ(decode_acknowledge(payload(encode(acknowledge, 4), Message::kAcknowledge, 4)),
            acknowledge);
  for (const Forget& forget : {Forget{.name = "n", .owner = {}}, Forget{.name = "n", .owner = 7}})
    EXPECT_EQ(decode_forget(payload(encode(forget, 5), Message::kForget, 5)), forget);
}

TEST(Protocol, RefusesDurableListenersOutOfBounds) {
  const std::string name = "n";
  EXPECT_FALSE(decode_durable(attributes({{kDurable, std::string(65, 'n')}})));
  EXPECT_FALSE(decode_durable(attributes({{kDurable, ""}})));
  EXPECT_FALSE(decode_durable(attributes({{kDurable, name}, {kFrom, bytes_of(uint32_t{3})}})));
  EXPECT_FALSE(
      decode_durable(attributes({{kDurable, name}, {kMostUnacked, bytes_of(uint32_t{16'385})}})));
  EXPECT_EQ((*decode_durable(attributes({{kDurable, name}, {kMostUnacked, bytes_of(uint32_t{0})}})))
                ->most_unacked,
            kDefaultUnacked);
  EXPECT_FALSE(decode_forget(attributes({{kOwner, bytes_of(uint32_t{0})}})));
  EXPECT_FALSE(decode_acknowledge(attributes({{kCursor, std::string(65, 'k')}})));
}

TEST(Protocol, TheMessagesOfThePastSurviveEncodingAndDecoding) {
  History full;
  full.wanted.mask = KNELL_EVENT_NONZERO_EXIT;
  full.wanted.details = KNELL_DETAILS_NAMES;
  full.wanted.predicates = {wants(Key::kUnit, "cron"), excludes(wants(Key::kComm, "grep"))};
  full.since_ns = 5;
  full.until_ns = 7;
  full.boot = 8;
  full.place = {.cursor = "k1:x:7", .last_seq = 9, .searched_seq = 4, .last = 10};
  History waiting = full;
  waiting.until_ns = 0;
  waiting.wait = true;
  for (const History& history : {History{}, full, waiting}) {
    const auto packet = encode(history, 3);
    ASSERT_TRUE(packet);
    const auto again = decode_history(payload(*packet, Message::kHistory, 3));
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(*again, history);
  }
  for (const Page& page : {Page{}, Page{.next = full.place, .end = true}})
    EXPECT_EQ(decode_page(payload(encode(page, 4), Message::kPage, 4)), page);
}

TEST(Protocol, RefusesPastsOutOfBounds) {
  const auto code = [](uint16_t type, const std::string& bytes) {
    const auto decoded = decode_history(attributes({{type, bytes}}));
    return decoded ? 0 : decoded.error().code;
  };
  EXPECT_EQ(code(kSince, bytes_of(int64_t{-1})), EINVAL);
  EXPECT_EQ(code(kUntil, bytes_of(int64_t{-1})), EINVAL);
  EXPECT_EQ(code(kDetails, bytes_of(uint32_t{3})), EINVAL);
  EXPECT_EQ(code(kCursor, ""), EBADMSG);
  EXPECT_EQ(code(kCursor, std::string(65, 'k')), EBADMSG);
  EXPECT_EQ(code(kLast, "abc"), EBADMSG);
  EXPECT_EQ(code(kSearched, bytes_of(int64_t{1})), EBADMSG);
  EXPECT_EQ(code(kSearched, bytes_of(int64_t{-1}) + bytes_of(int64_t{0})), EBADMSG);
  EXPECT_EQ(code(kSearched, bytes_of(int64_t{0}) + bytes_of(int64_t{-1})), EBADMSG);
  EXPECT_EQ(code(900 | kMandatory, "news"), EOPNOTSUPP);
  const auto ends =
      decode_history(attributes({{kUntil, bytes_of(int64_t{1})}, {kWait, bytes_of(uint32_t{1})}}));
  ASSERT_FALSE(ends) << "a request with an end time and `wait` may never be answered";
  EXPECT_EQ(ends.error().code, EINVAL);
  // The journal does not store the ancestors of processes.
  EXPECT_EQ(code(kPredicate, attributes({{kKey, bytes_of(uint32_t{2}) + bytes_of(uint32_t{0})},
                                         {kNumbers, bytes_of(int64_t{1})}})),
            EINVAL);
}

TEST(Protocol, AnEmptySubscribeHasTheDefaults) {
  const auto subscribe = decode_subscribe({});
  ASSERT_TRUE(subscribe);
  EXPECT_EQ(*subscribe, filter::Subscription{});
}

struct SentKey {
  uint32_t key, flags;
};

std::string predicate(uint32_t key, uint16_t type, const std::string& values, uint32_t flags = 0) {
  return attributes({{kKey, bytes_of(SentKey{key, flags})}, {type, values}});
}

TEST(Protocol, LimitsTheNumberOfPredicates) {
  const std::string one = predicate(1, kNumbers, bytes_of(int64_t{7}));
  std::string out;
  FrameWriter frame(out, Message::kSubscribe, 0);
  for (size_t i = 0; i < kMostPredicates; i++) frame.attribute(kPredicate, std::string_view(one));
  const auto most = decode_subscribe(std::string_view(out).substr(kHeaderBytes));
  ASSERT_TRUE(most);
  EXPECT_EQ(most->predicates.size(), kMostPredicates);
  frame.attribute(kPredicate, std::string_view(one));
  EXPECT_FALSE(decode_subscribe(std::string_view(out).substr(kHeaderBytes)));
}

TEST(Protocol, RefusesPredicatesThatDoNotFitAFrame) {
  for (const filter::Predicate& one :
       {wants(Key::kComm, std::string(4096, 'x')), wants(Key::kPid, 1), wants(codes(1, 2))}) {
    filter::Subscription subscribe;
    subscribe.predicates.assign(9000, one);
    const auto packet = encode(subscribe, 0);
    ASSERT_FALSE(packet);
    EXPECT_EQ(packet.error().code, EINVAL);
    EXPECT_NE(packet.error().message().find("64 KiB"), std::string::npos);
  }
}

// Values of any client: they need no database lookup, and have a defined meaning.
TEST(Protocol, RefusesInvalidValuesOfPredicates) {
  const auto code = [](const std::string& bytes) {
    const auto decoded = decode_subscribe(attributes({{kPredicate, bytes}}));
    return decoded ? 0 : decoded.error().code;
  };
  const auto ended = [](uint16_t kind, uint16_t first, uint16_t last, uint16_t reserved = 0) {
    return predicate(
        10, kWaysToEnd,
        bytes_of(filter::Ended{static_cast<filter::Ended::Kind>(kind), first, last, reserved}));
  };
  for (const std::string& good :
       {predicate(1, kNumbers, bytes_of(int64_t{INT32_MAX})), predicate(7, kWord, ""),
        predicate(5, kNumbers, bytes_of(int64_t{4294967294}), 1), ended(1, 0, 255), ended(2, 9, 9),
        predicate(3, kWord, std::string(4096, '*'))})
    EXPECT_EQ(code(good), 0);
  for (const std::string& wrong : {predicate(1, kNumbers, bytes_of(int64_t{0})),
                                   predicate(2, kNumbers, bytes_of(int64_t{INT32_MAX} + 1)),
                                   predicate(5, kNumbers, bytes_of(int64_t{4294967295})),
                                   predicate(11, kNumbers, bytes_of(int64_t{-1})),
                                   predicate(5, kWord, "root"),
                                   predicate(3, kWord, ""),
                                   predicate(3, kWord, std::string(4097, 'x')),
                                   predicate(7, kWord, "system.slice"),
                                   predicate(7, kWord, "/a/"),
                                   predicate(3, kNumbers, bytes_of(int64_t{1})),
                                   predicate(10, kWord, "core"),
                                   predicate(1, kWaysToEnd, bytes_of(filter::Ended{})),
                                   ended(1, 9, 2),
                                   ended(1, 0, 256),
                                   ended(2, 0, 0),
                                   ended(2, 128, 128),
                                   ended(2, 1, 9),
                                   ended(4, 1, 0),
                                   ended(0, 0, 0),
                                   ended(4, 0, 0, 1)})
    EXPECT_EQ(code(wrong), EINVAL);
  for (const std::string& later : {predicate(0, kWord, "x"), predicate(13, kWord, "x"),
                                   predicate(1, kNumbers, bytes_of(int64_t{1}), 2),
                                   predicate(3, 900 | kMandatory, "x"), ended(7, 0, 0)})
    EXPECT_EQ(code(later), EOPNOTSUPP);
  for (const std::string& malformed :
       {std::string("abc"), attributes({{kWord, "x"}}),
        attributes({{kKey, bytes_of(SentKey{3, 0})}}), attributes({{kKey, "abc"}, {kWord, "x"}}),
        predicate(1, kNumbers, ""), predicate(1, kNumbers, "1234567"),
        predicate(10, kWaysToEnd, "123456789"),
        attributes({{kKey, bytes_of(SentKey{3, 0}) + "more"}, {kWord, "x"}}),
        attributes({{kKey, bytes_of(SentKey{3, 0})},
                    {kWord, "x"},
                    {kKey, bytes_of(SentKey{4, 0})},
                    {kWord, "x"}})})
    EXPECT_EQ(code(malformed), EBADMSG);
}

// If the attribute were ignored, more events would pass than the client requested.
TEST(Protocol, RefusesPredicatesAsText) {
  const auto old =
      decode_subscribe(attributes({{kPredicateText, attributes({{86, "pid"}, {87, "1"}})}}));
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code, EOPNOTSUPP);
  EXPECT_NE(old.error().message().find("update the libknell of the client"), std::string::npos);
}

TEST(Protocol, RefusesUnknownMandatoryAttributesByNumber) {
  const auto refused =
      decode_subscribe(attributes({{90 | kMandatory, "backup"}, {kMask, bytes_of(1)}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EOPNOTSUPP);
  EXPECT_NE(refused.error().message().find("attribute 90"), std::string::npos);

  const std::string later = attributes({{900 | kMandatory, "news"}});
  EXPECT_EQ(decode_client_hello(later).error().code, EOPNOTSUPP);
  EXPECT_EQ(decode_server_hello(later).error().code, EOPNOTSUPP);
  EXPECT_EQ(decode_pids(later).error().code, EOPNOTSUPP);
  EXPECT_EQ(decode_status_request(later).error().code, EOPNOTSUPP);
  EXPECT_EQ(decode_snapshot_request(later).error().code, EOPNOTSUPP);
  EXPECT_EQ(decode_ack(later).error().code, EOPNOTSUPP);
  EXPECT_EQ(decode_bye(later).error().code, EOPNOTSUPP);
  EXPECT_NE(decode_ack(later).error().message().find("900"), std::string::npos);
}

TEST(Protocol, ASnapshotRequestHasNoAttributes) {
  EXPECT_TRUE(decode_snapshot_request(payload(encode_snapshot_request(7), Message::kSnapshot, 7)));
  EXPECT_TRUE(decode_snapshot_request(attributes({{900, "news"}})));
}

TEST(Protocol, IgnoresUnknownAttributesAndLongerStructures) {
  const auto subscribe =
      decode_subscribe(attributes({{900, "news"}, {kMask, bytes_of(KNELL_EVENT_EXEC) + "more"}}));
  ASSERT_TRUE(subscribe);
  EXPECT_EQ(subscribe->mask, static_cast<uint32_t>(KNELL_EVENT_EXEC));
}

TEST(Protocol, RefusesInvalidNumbers) {
  const std::initializer_list<std::pair<uint16_t, std::string>> all{
      {kLevel, bytes_of(2)},
      {kDetails, bytes_of(3)},
      {kRule, bytes_of(2)},
      {kLatency, bytes_of(int64_t{-1})},
      {kLatency, bytes_of(int64_t{60'000'000'001})},
      {kUnderLoad, bytes_of(int64_t{-1})},
      {kUnderLoad, bytes_of(int64_t{60'000'000'001})}};
  for (const auto& one : all) {
    const auto subscribe = decode_subscribe(attributes({one}));
    ASSERT_FALSE(subscribe);
    EXPECT_EQ(subscribe.error().code, EINVAL);
  }
}

TEST(Protocol, ShortAttributesAreMalformed) {
  EXPECT_EQ(decode_subscribe(attributes({{kMask, "abc"}})).error().code, EBADMSG);
  EXPECT_EQ(decode_subscribe(attributes({{kPredicate, "abc"}})).error().code, EBADMSG);
  EXPECT_EQ(decode_pids(attributes({{kPid, "abc"}})).error().code, EBADMSG);
  EXPECT_EQ(
      decode_pids(attributes({{kPid, bytes_of(AddedProcess{.pid = 0, .reserved = 0, .start = 0})}}))
          .error()
          .code,
      EBADMSG);
  EXPECT_EQ(decode_pids({}).error().code, EBADMSG);
  EXPECT_EQ(decode_ack({}).error().code, EBADMSG);
  EXPECT_EQ(decode_ack(attributes({{kError, bytes_of(-1)}})).error().code, EBADMSG);
}

TEST(Protocol, ATruncatedPacketIsNoFrame) {
  const std::string whole = *encode(full_subscribe(), 1);
  for (size_t size = 0; size < whole.size(); size++) {
    const std::string cut =
        whole.substr(0, size);  // a copy, so that the sanitizer finds reads past its end
    EXPECT_FALSE(parse_packet(cut)) << size;
    if (size >= kHeaderBytes) (void)decode_subscribe(cut.substr(kHeaderBytes));
  }
  EXPECT_FALSE(parse_packet(whole + whole)) << "a packet has one frame";
}

TEST(Protocol, AFrameHasRoomForKMostPids) {
  std::vector<AddedProcess> pids;
  for (size_t i = 0; i < kMostPids; i++)
    pids.push_back({.pid = static_cast<int32_t>(i + 1), .reserved = 0, .start = i});
  const auto again = decode_pids(payload(encode(Message::kAdd, pids, 2), Message::kAdd, 2));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, pids);
}

TEST(Protocol, AcksAndByesSurviveEncodingAndDecoding) {
  const Ack ack{.error = EPERM, .request = 5, .text = "pid 1 is not yours"};
  const auto again = decode_ack(payload(encode(ack, 1), Message::kAck, 1));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, ack);
  const Bye bye{.error = EUSERS, .text = "256 listeners are all that a user may have"};
  const auto same_bye = decode_bye(payload(encode(bye, 1), Message::kBye, 1));
  ASSERT_TRUE(same_bye);
  EXPECT_EQ(*same_bye, bye);
}

TEST(Protocol, ALongStatusIsSentInPieces) {
  std::string json;
  for (int i = 0; i < 20'000; i++) json += std::to_string(i);
  std::string_view left = json;
  std::string together;
  for (uint32_t seq = 0; !left.empty(); seq++) {
    const std::string packet = encode_status_text(left, seq);
    const auto piece = decode_status_text(payload(packet, Message::kStatusText, seq));
    ASSERT_TRUE(piece);
    together += *piece;
  }
  EXPECT_EQ(together, json);
}

// Formats bytes as `xxd` does.
std::string hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t line = 0; line < bytes.size(); line += 16) {
    for (int shift = 28; shift >= 0; shift -= 4) out += kDigits[line >> shift & 15];
    out += ':';
    for (size_t i = line; i < line + 16 && i < bytes.size(); i++) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      if (i % 2 == 0) out += ' ';
      out += {kDigits[byte >> 4], kDigits[byte & 15]};
    }
    out += '\n';
  }
  return out;
}

knell_event event_of_the_docs() {
  knell_event e{};
  e.type = KNELL_EVENT_EXIT;
  e.has = KNELL_HAS_STATUS | KNELL_HAS_DURATION;
  e.via = KNELL_VIA_BPF;
  e.exit_signal = 17;
  e.mono_ns = 0x16409195'99fa;
  e.time_ns = static_cast<int64_t>(0x18eaa4cc'40662e25 + e.mono_ns);
  e.duration_ns = 107'775'071;
  e.pid = e.tid = 9236;
  e.ppid = 9231;
  e.wait_status = 0x700;
  e.id = {.boot = 0x6fa276d3, .pid = 9236, .start = 2446646, .kind = KNELL_ID_START};
  return e;
}

// The hex dumps in docs/protocol.md must equal the encoded frames.
TEST(Protocol, TheDocsShowTheEncodedBytes) {
  std::ifstream file(KNELL_SOURCE_DIR "/docs/protocol.md");
  const std::string docs((std::istreambuf_iterator<char>(file)), {});
  ASSERT_FALSE(docs.empty());
  const filter::Subscription subscribe{.mask = KNELL_EVENT_NONZERO_EXIT,
                                       .details = KNELL_DETAILS_STATUS,
                                       .predicates = {wants(Key::kUnit, "postgresql@*")}};
  History history;
  history.wanted = subscribe;
  history.since_ns = 1'795'910'400'000'000'000;
  const Page page{
      .next = {.cursor = "k1:0d9a8a61-5d1b-4a3c-9d6e-0e3c4c2b7a11:4711", .last_seq = INT64_MAX},
      .end = true};
  std::string buffer, events;
  EventFrame frame(events, 2);
  frame.add(epoch_of(event_of_the_docs()), encode_event(buffer, event_of_the_docs()));
  frame.finish();
  for (const std::string& packet :
       {*encode(subscribe, 1), encode(Ack{.error = 0, .request = 1, .text = ""}, 1), events,
        *encode(history, 1), encode(page, 0)})
    EXPECT_NE(docs.find(hex(packet)), std::string::npos) << "the encoded frame is\n" << hex(packet);
}

TEST(EventFrame, TakesEncodedEvents) {
  std::array<std::string, 3> buffers;
  const knell_event first = full_event(KNELL_EVENT_EXIT), second = full_event(KNELL_EVENT_FORK);
  knell_event third = first;
  third.time_ns += 1000;  // as if the clock was set between the two events
  std::string out;
  EventFrame frame(out);
  EXPECT_TRUE(frame.empty());
  EXPECT_TRUE(frame.add(epoch_of(first), encode_event(buffers[0], first)));
  EXPECT_TRUE(frame.add(epoch_of(second), encode_event(buffers[1], second)));
  EXPECT_TRUE(frame.add(epoch_of(third), encode_event(buffers[2], third)));
  frame.finish();

  EventReader reader(payload(out, Message::kEvents, 0));
  for (const knell_event& event : {first, second, third}) {
    knell_event again;
    ASSERT_TRUE(reader.next(again));
    EXPECT_TRUE(same(again, event));
  }
  std::string plain;
  EventFrame writer(plain);
  for (const knell_event& event : {first, second, third}) EXPECT_TRUE(writer.add(event));
  writer.finish();
  EXPECT_EQ(out, plain);
}

TEST(EventFrame, AddFailsWhenTheFrameIsFull) {
  knell_event event = full_event(KNELL_EVENT_EXIT);
  const std::string args(20'000, 'x');
  event.args = bytes(args);
  std::string buffer, out;
  const std::string_view encoded = encode_event(buffer, event);
  EventFrame frame(out);
  for (int i = 0; i < 3; i++) EXPECT_TRUE(frame.add(1, encoded));
  EXPECT_FALSE(frame.add(1, encoded));
  frame.finish();
  EXPECT_TRUE(parse_packet(out));
}

}  // namespace
}  // namespace knell::wire
