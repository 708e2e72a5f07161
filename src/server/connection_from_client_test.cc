// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/connection_from_client.h"

#include <dirent.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>

#include "base/clock.h"
#include "base/fork_with_for_test.h"
#include "filter/predicate_for_test.h"
#include "server/client_for_test.h"
#include "server/wire_event_encoder.h"
#include "wire/event.h"

namespace knell::server {
namespace {

using filter::excludes;
using filter::Key;
using filter::wants;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Life = ConnectionFromClient::Life;
using Protocol = ConnectionFromClient::Protocol;

constexpr uint64_t kForEver = ~uint64_t{0};

class NoAncestry final : public filter::Ancestry {
 public:
  bool is_under(const filter::Root&, const knell_event&) const override { return false; }
};

// A client and its connection, in one thread; turn() acts as the server.
struct Fixture {
  explicit Fixture(const hub::Quotas& quotas = {}, uint32_t requests_per_second = 1000)
      : hub(encoder, quotas), both(hub, daemon, 1, requests_per_second) {}

  uint64_t now_ns = system_clock().monotonic_ns();
  Life turn() {
    using Step = ConnectionFromClient::Step;
    Step step = Step::kMore;
    for (int i = 0; i < 1000 && step == Step::kMore; ++i) step = connection->step(now_ns);
    hub.remove_abandoned_added(kForEver, [this](int32_t pid) { daemon.unfollow(pid); });
    if (step == Step::kClose) return Life::kClose;
    return connection->send(now_ns, ConnectionFromClient::Due::kNow);
  }
  Life ask(std::string_view packet) {
    EXPECT_TRUE(client.send(packet));
    return turn();
  }
  template <class T>
  Life ask(const Result<T>& packet) {
    return ask(*packet);
  }
  void greet() {
    EXPECT_EQ(ask(wire::encode(wire::ClientHello{.knell = "0", .rule = {}}, 0)), Life::kOpen);
    client.payload(wire::Message::kHello);
  }
  void exec(int32_t pid) {
    knell_event event{};
    event.size = sizeof event;
    event.type = KNELL_EVENT_EXEC;
    event.pid = pid;
    event.mono_ns = system_clock().monotonic_ns();
    hub::PublishedEvent published;
    published.type = event.type;
    published.pid = pid;
    published.stamp_ns = event.mono_ns;
    published.event = &event;
    hub.publish(published, NoAncestry());
  }
  void datagram(int32_t pid, uint32_t what = KNELL_EVENT_EXEC) {
    event::Raw raw;
    raw.what = what;
    raw.pid = raw.tid = pid;
    hub::PublishedEvent published;
    published.stream = filter::Stream::kDatagrams;
    published.type = what;
    published.pid = pid;
    published.zero = what == KNELL_EVENT_EXIT;
    published.stamp_ns = kForEver;
    published.raw = &raw;
    hub.publish(published, NoAncestry());
  }

  WireEventEncoder encoder;
  hub::Hub hub;
  FakeDaemon daemon;
  ConnectedClient both;
  UniqueFd& theirs = both.theirs;
  ClientEnd& client = both.end;
  std::unique_ptr<ConnectionFromClient>& connection = both.connection;
};

// The connector's protocol.

std::vector<event::Raw> datagrams_of(const std::vector<std::string>& packets) {
  std::vector<event::Raw> all;
  for (const std::string& packet : packets) {
    EXPECT_EQ(packet.size(), 76u);
    const auto raw =
        event::decode({reinterpret_cast<const std::byte*>(packet.data()), packet.size()});
    EXPECT_TRUE(raw);
    if (raw) all.push_back(*raw);
  }
  return all;
}

void expect_ack(Fixture& on, const std::vector<uint32_t>& request, uint32_t error) {
  ASSERT_EQ(on.ask(connector_request(request, 41)), Life::kOpen);
  const auto raws = datagrams_of(on.client.receive_all());
  ASSERT_EQ(raws.size(), 1u);
  EXPECT_EQ(raws[0].what, static_cast<uint32_t>(KNELL_EVENT_NONE));
  EXPECT_EQ(raws[0].u.ack.err, error);
  EXPECT_EQ(raws[0].u.ack.ack, 42u);
}

TEST(CompatClient, ReceivesNothingBeforeItListens) {
  Fixture on;
  on.datagram(1);
  on.turn();
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
}

TEST(CompatClient, ListensToAllEventsWithAShortRequest) {
  Fixture on;
  expect_ack(on, {KNELL_MCAST_LISTEN}, 0);
  EXPECT_EQ(on.connection->protocol(), Protocol::kCompat);
  EXPECT_EQ(on.daemon.changes, 1);
  on.datagram(7);
  on.turn();
  const auto raws = datagrams_of(on.client.receive_all());
  ASSERT_EQ(raws.size(), 1u);
  EXPECT_EQ(raws[0].pid, 7);
}

TEST(CompatClient, ListensToAMaskWithALongRequestAndChangesIt) {
  Fixture on;
  expect_ack(on, {KNELL_MCAST_LISTEN, KNELL_EVENT_EXEC}, 0);
  on.datagram(1, KNELL_EVENT_EXEC);
  on.datagram(2, KNELL_EVENT_FORK);
  on.turn();
  EXPECT_EQ(on.client.receive_all().size(), 1u);
  expect_ack(on, {KNELL_MCAST_LISTEN, KNELL_EVENT_FORK}, 0);
  on.datagram(3, KNELL_EVENT_EXEC);
  on.datagram(4, KNELL_EVENT_FORK);
  on.turn();
  const auto raws = datagrams_of(on.client.receive_all());
  ASSERT_EQ(raws.size(), 1u);
  EXPECT_EQ(raws[0].pid, 4);
  EXPECT_EQ(on.hub.nodes(), 1u);
}

TEST(CompatClient, ListeningTwiceDeliversOnce) {
  Fixture on;
  expect_ack(on, {KNELL_MCAST_LISTEN}, 0);
  expect_ack(on, {KNELL_MCAST_LISTEN}, 0);
  on.datagram(1);
  on.turn();
  EXPECT_EQ(on.client.receive_all().size(), 1u);
}

TEST(CompatClient, IgnoreIsAckedAndStopsEvents) {
  Fixture on;
  expect_ack(on, {KNELL_MCAST_LISTEN}, 0);
  expect_ack(on, {KNELL_MCAST_IGNORE}, 0);
  on.datagram(1);
  on.turn();
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
  EXPECT_EQ(on.hub.nodes(), 0u);
}

TEST(CompatClient, AnInvalidOperationChangesTheMaskOfAListener) {
  Fixture on;
  expect_ack(on, {99, KNELL_EVENT_EXEC}, EINVAL);
  EXPECT_EQ(on.hub.nodes(), 0u);
  expect_ack(on, {KNELL_MCAST_LISTEN}, 0);
  expect_ack(on, {99, KNELL_EVENT_FORK}, EINVAL);
  on.datagram(1, KNELL_EVENT_EXEC);
  on.datagram(2, KNELL_EVENT_FORK);
  on.turn();
  EXPECT_EQ(on.client.receive_all().size(), 1u);
}

TEST(CompatClient, RequestsOfOtherLengthsAreIgnored) {
  Fixture on;
  for (const std::vector<uint32_t>& words :
       {std::vector<uint32_t>{}, {1, 2, 3}, std::vector<uint32_t>(100, 1)})
    EXPECT_EQ(on.ask(connector_request(words)), Life::kOpen);
  const std::string whole = connector_request({KNELL_MCAST_LISTEN});
  for (size_t size = 0; size < whole.size();
       ++size)  // size 0: an empty packet is not the end of the connection
    EXPECT_EQ(on.ask(whole.substr(0, size)), Life::kOpen) << size;
  EXPECT_EQ(on.ask(std::string(70'000, 'x')), Life::kOpen);
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
  EXPECT_EQ(on.hub.nodes(), 0u);
  expect_ack(on, {KNELL_MCAST_LISTEN}, 0);
}

TEST(CompatClient, RequestsWithWrongLengthFieldsAreIgnored) {
  Fixture on;
  std::string packet = connector_request({KNELL_MCAST_LISTEN});
  const uint32_t four_gib = 0xffff'fff0;
  std::memcpy(packet.data(), &four_gib, sizeof four_gib);
  EXPECT_EQ(on.ask(packet), Life::kOpen);
  packet = connector_request({KNELL_MCAST_LISTEN});
  const uint16_t more = 8;
  std::memcpy(packet.data() + sizeof(nlmsghdr) + offsetof(knell_cn_msg, len), &more, sizeof more);
  EXPECT_EQ(on.ask(packet), Life::kOpen);
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
}

TEST(CompatClient, ARefusalOfTheSourceIsAnErrorInTheAck) {
  Fixture on;
  on.daemon.refuses = true;
  expect_ack(on, {KNELL_MCAST_LISTEN}, EAGAIN);
  EXPECT_EQ(on.hub.nodes(), 0u);
}

TEST(CompatClient, HelloChoosesTheRuleAndOverruns) {
  Fixture on({.queue_bytes = 120});
  wire::ClientHello hello{.knell = "0", .rule = wire::kRuleV6, .overrun = true, .quiet = true};
  ASSERT_EQ(on.ask(wire::encode(hello, 0)), Life::kOpen);
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
  expect_ack(on, {KNELL_MCAST_LISTEN, KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT}, 0);
  on.datagram(1, KNELL_EVENT_EXIT);  // an exit with status 0, which rule v6 drops
  on.turn();
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
  expect_ack(on, {KNELL_MCAST_LISTEN, KNELL_EVENT_EXEC}, 0);
  for (int32_t pid = 1; pid <= 5; ++pid) on.datagram(pid);
  on.turn();
  const auto packets = on.client.receive_all();
  ASSERT_EQ(packets.size(), 2u);
  EXPECT_EQ(packets[0].size(), 76u);
  EXPECT_EQ(packets[1].size(), 44u);
}

TEST(CompatClient, SendsTheRestWhenTheSocketHasRoom) {
  Fixture on;
  expect_ack(on, {KNELL_MCAST_LISTEN}, 0);
  for (int32_t pid = 1; pid <= 3000; ++pid) on.datagram(pid);
  std::vector<event::Raw> all;
  while (all.size() < 3000) {
    on.connection->unblock();
    ASSERT_EQ(on.turn(), Life::kOpen);
    const auto some = datagrams_of(on.client.receive_all());
    ASSERT_FALSE(some.empty());
    all.insert(all.end(), some.begin(), some.end());
  }
  for (int32_t pid = 1; pid <= 3000; ++pid) ASSERT_EQ(all[static_cast<size_t>(pid - 1)].pid, pid);
}

// The native protocol.

filter::Subscription all_execs() {
  filter::Subscription asked;
  asked.mask = KNELL_EVENT_EXEC;
  asked.latency_ns = 0;
  return asked;
}

std::vector<int32_t> pids_of(const std::vector<std::string>& packets) {
  std::vector<int32_t> pids;
  for (const std::string& packet : packets) {
    const auto frame = wire::parse_packet(packet);
    EXPECT_TRUE(frame);
    if (!frame || frame->type != wire::Message::kEvents) continue;
    wire::EventReader reader(frame->payload);
    knell_event event;
    while (reader.next(event)) pids.push_back(event.pid);
    EXPECT_FALSE(reader.malformed());
  }
  return pids;
}

TEST(NativeClient, ServerHelloHasTheScope) {
  Fixture on;
  on.ask(wire::encode(wire::ClientHello{.knell = "0", .rule = {}}, 0));
  const auto hello = wire::decode_server_hello(on.client.payload(wire::Message::kHello));
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->origin.knell, "9.9");
  EXPECT_EQ(hello->scope.flags, ::getuid() == 0 ? wire::Scope::kEverything : wire::Scope::kOwnUid);
  EXPECT_EQ(hello->limits.queue_bytes, on.hub.quotas().queue_bytes);
}

TEST(NativeClient, ARequestBeforeHelloEndsTheConnection) {
  Fixture on;
  EXPECT_EQ(on.ask(wire::encode(all_execs(), 0)), Life::kClose);
  const wire::Bye bye = on.client.bye();
  EXPECT_EQ(bye.error, EPROTO);
  EXPECT_THAT(bye.text, HasSubstr("must be HELLO"));
}

TEST(NativeClient, ASecondHelloEndsTheConnection) {
  Fixture on;
  on.greet();
  EXPECT_EQ(on.ask(wire::encode(wire::ClientHello{.knell = "0", .rule = {}}, 1)), Life::kClose);
  EXPECT_EQ(on.client.bye().error, EPROTO);
}

TEST(NativeClient, ReceivesManyEventsInOnePacket) {
  Fixture on;
  on.greet();
  ASSERT_EQ(on.ask(wire::encode(all_execs(), 5)), Life::kOpen);
  EXPECT_EQ(on.client.ack(), (wire::Ack{.error = 0, .request = 5, .text = {}}));
  for (int32_t pid = 1; pid <= 20; ++pid) on.exec(pid);
  on.turn();
  const auto packets = on.client.receive_all();
  EXPECT_EQ(packets.size(), 1u);
  EXPECT_EQ(pids_of(packets).size(), 20u);
}

TEST(NativeClient, ARefusalSaysWhyAndChangesNothing) {
  Fixture on;
  on.greet();
  on.ask(wire::encode(all_execs(), 1));
  EXPECT_EQ(on.client.ack().error, 0);
  filter::Subscription wrong = all_execs();
  wrong.predicates = {wants(Key::kPid, 0)};
  on.ask(wire::encode(wrong, 2));
  wire::Ack ack = on.client.ack();
  EXPECT_EQ(ack.error, EINVAL);
  EXPECT_EQ(ack.request, 2u);
  EXPECT_THAT(ack.text, HasSubstr("pid: a value has the wrong type or is out of range"));
  // Users are numbers: the daemon does not look names up.
  wrong.predicates = {wants(Key::kUid, "root")};
  on.ask(wire::encode(wrong, 3));
  ack = on.client.ack();
  EXPECT_EQ(ack.error, EINVAL);
  EXPECT_THAT(ack.text, HasSubstr("uid: a value has the wrong type or is out of range"));
  on.daemon.refuses = true;
  filter::Subscription other = all_execs();
  other.mask = KNELL_EVENT_FORK;
  on.ask(wire::encode(other, 4));
  ack = on.client.ack();
  EXPECT_EQ(ack.error, ENOSPC);
  EXPECT_EQ(ack.text, "the source is full");
  on.exec(9);
  on.turn();
  EXPECT_THAT(pids_of(on.client.receive_all()), ElementsAre(9));
}

TEST(NativeClient, LimitsTheNumberOfUnderPredicates) {
  Fixture on;
  on.greet();
  filter::Subscription asked = all_execs();
  const filter::Predicate self = wants(Key::kUnder, ::getpid());
  for (int i = 0; i < 32; ++i) {
    asked.predicates.push_back(self);
    asked.predicates.push_back(excludes(self));
  }
  on.ask(wire::encode(asked, 1));
  EXPECT_EQ(on.client.ack().error, 0);
  asked.predicates.push_back(self);
  on.ask(wire::encode(asked, 2));
  const wire::Ack ack = on.client.ack();
  EXPECT_EQ(ack.error, ENOSPC);
  EXPECT_THAT(ack.text, HasSubstr("64 processes"));
}

// The client named it when it was alive; it may change its mask later, or connect again.
TEST(NativeClient, AProcessUnderWhichOthersWereNamedMayHaveEnded) {
  Fixture on;
  on.greet();
  const pid_t child = ::fork();
  if (child == 0) ::pause();
  filter::Subscription asked = all_execs();
  asked.predicates = {wants(Key::kUnder, child), wants(Key::kUnder, ::getpid())};
  on.ask(wire::encode(asked, 1));
  ASSERT_EQ(on.client.ack().error, 0);
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const auto roots = [&] { return on.connection->listener().node()->filter.interest.roots; };
  const auto before = roots();
  asked.mask = KNELL_EVENT_EXIT;
  on.ask(wire::encode(asked, 2));
  EXPECT_EQ(on.client.ack().error, 0);
  EXPECT_EQ(roots(), before) << "its descendants still match";

  Fixture later;
  later.greet();
  later.ask(wire::encode(asked, 1));
  EXPECT_EQ(later.client.ack().error, 0);
  asked.predicates = {excludes(wants(Key::kUnder, child))};
  later.ask(wire::encode(asked, 2));
  EXPECT_EQ(later.client.ack().error, 0);
  EXPECT_THAT(later.connection->listener().node()->filter.interest.roots, testing::SizeIs(1));
  EXPECT_THAT(later.connection->listener().node()->filter.interest.roots,
              testing::Not(testing::Contains(testing::Field(&filter::Root::pid, child))))
      << "another process may get this pid";
}

// A child process with this pid, or with any if it is 0, which waits for a signal.
pid_t fork_waiting(pid_t pid = 0, uint64_t before = 0) {
  const pid_t child = fork_later_with(pid, before);
  if (child == 0)
    for (;;) ::pause();
  return child;
}
void end(pid_t child) {
  ASSERT_EQ(::kill(child, SIGKILL), 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST(NativeClient, ALaterProcessWithThePidOfARootIsAnotherRoot) {
  Fixture earlier, later;
  const auto roots = [](const Fixture& on) {
    return on.connection->listener().node()->filter.interest.roots;
  };
  const pid_t first = fork_waiting();
  const uint64_t start = start_of(first);
  filter::Subscription asked = all_execs();
  asked.predicates = {wants(Key::kUnder, first)};
  earlier.greet();
  earlier.ask(wire::encode(asked, 1));
  EXPECT_EQ(roots(earlier), (std::vector<filter::Root>{{first, start}}));
  end(first);
  const pid_t reused = fork_waiting(first, start);
  if (reused < 0) GTEST_SKIP() << "no permission to choose a pid";
  later.greet();
  later.ask(wire::encode(asked, 1));
  EXPECT_EQ(roots(later), (std::vector<filter::Root>{{reused, start_of(reused)}}));
  EXPECT_NE(roots(later), roots(earlier));
  asked.mask = KNELL_EVENT_EXIT;
  earlier.ask(wire::encode(asked, 2));
  EXPECT_EQ(earlier.client.receive_all().size(), 2u);
  EXPECT_EQ(roots(earlier), (std::vector<filter::Root>{{first, start}}))
      << "it named the first process";
  end(reused);
}

TEST(NativeClient, RequestsAreAckedInTheirOrder) {
  Fixture on;
  on.greet();
  for (uint32_t seq = 10; seq < 15; ++seq)
    ASSERT_TRUE(on.client.send(*wire::encode(all_execs(), seq)));
  on.turn();
  for (uint32_t seq = 10; seq < 15; ++seq) EXPECT_EQ(on.client.ack().request, seq);
}

TEST(NativeClient, AnUnknownMessageIsRefusedInItsAck) {
  Fixture on;
  on.greet();
  std::string packet;
  wire::FrameWriter(packet, static_cast<wire::Message>(0x99), 3).finish();
  ASSERT_EQ(on.ask(packet), Life::kOpen);
  const wire::Ack ack = on.client.ack();
  EXPECT_EQ(ack.error, EOPNOTSUPP);
  EXPECT_EQ(ack.request, 3u);
}

TEST(NativeClient, AnUnknownAttributeIsRefusedOnlyWhenItIsMandatory) {
  Fixture on;
  on.greet();
  for (const bool mandatory : {false, true}) {
    std::string packet;
    wire::FrameWriter frame(packet, wire::Message::kSubscribe, 1);
    const uint16_t type = 0x300;
    frame.attribute(mandatory ? type | wire::kMandatory : type, uint32_t{1});
    frame.finish();
    on.ask(packet);
    EXPECT_EQ(on.client.ack().error, mandatory ? EOPNOTSUPP : 0);
  }
}

TEST(NativeClient, MalformedFramesEndTheConnectionWithAReason) {
  const std::string whole = *wire::encode(all_execs(), 1);
  const uint32_t four_gib = 0xffff'fff0;
  std::string lying = whole;
  std::memcpy(lying.data(), &four_gib, sizeof four_gib);
  const std::vector<std::string> bad{"garbage", whole.substr(0, whole.size() / 2), whole + "more",
                                     lying, std::string(wire::kMostFrame + 1, 'x')};
  for (const std::string& packet : bad) {
    Fixture on;
    on.greet();
    EXPECT_EQ(on.ask(packet), Life::kClose) << packet.size();
    const wire::Bye bye = on.client.bye();
    EXPECT_TRUE(bye.error == EBADMSG || bye.error == EMSGSIZE) << bye.error;
    EXPECT_FALSE(bye.text.empty());
  }
}

TEST(NativeClient, StatusComesInPiecesBeforeItsAck) {
  Fixture on;
  on.greet();
  on.daemon.json = std::string(150'000, 'j');
  std::string json;
  ASSERT_TRUE(on.client.send(wire::encode_status_request(4)));
  for (int i = 0; i < 10; ++i) {
    on.connection->unblock();
    on.turn();
    for (const std::string& packet : on.client.receive_all()) {
      const auto frame = wire::parse_packet(packet);
      ASSERT_TRUE(frame);
      if (frame->type == wire::Message::kAck) {
        EXPECT_EQ(json, on.daemon.json);
        return;
      }
      json += *wire::decode_status_text(frame->payload);
    }
  }
  FAIL() << "no ack was received";
}

TEST(NativeClient, RefusesAStatusThatExceedsTheAnswerLimit) {
  Fixture on({.answer_bytes = 1000});
  on.greet();
  on.daemon.json = std::string(2000, 'j');
  on.ask(wire::encode_status_request(4));
  const wire::Ack ack = on.client.ack();
  EXPECT_EQ(ack.error, ENOBUFS);
  EXPECT_THAT(ack.text, HasSubstr("read the answers first"));
}

void expect_ack_after_two_pieces(Fixture& on) {
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(on.connection->step(on.now_ns), ConnectionFromClient::Step::kMore);
  EXPECT_EQ(on.connection->send(on.now_ns, ConnectionFromClient::Due::kNow), Life::kOpen);
  EXPECT_FALSE(on.client.receive());
  on.turn();
  EXPECT_EQ(on.client.ack().error, 0);
}

// The living processes are looked up in pieces; the ack follows when that is done.
TEST(NativeClient, SubscribeIsAckedAfterTheScanOfLiveProcesses) {
  Fixture on;
  on.greet();
  on.daemon.unscanned = 3;
  ASSERT_TRUE(on.client.send(*wire::encode(all_execs(), 1)));
  expect_ack_after_two_pieces(on);
}

// `under` needs a scan of all processes; the ack follows when that is done.
TEST(NativeClient, SubscribeWithUnderIsAckedAfterTheScanForDescendants) {
  Fixture on;
  on.greet();
  on.daemon.unscanned_roots = 3;
  on.ask(wire::encode(all_execs(), 1));
  EXPECT_EQ(on.client.ack().error, 0) << "the subscription has no `under`";
  filter::Subscription asked = all_execs();
  asked.predicates = {wants(Key::kUnder, ::getpid())};
  ASSERT_TRUE(on.client.send(*wire::encode(asked, 1)));
  expect_ack_after_two_pieces(on);
}

// The client must not wait for the events of a subscription that was replaced.
TEST(NativeClient, AFailedScanEndsAConnectionThatHadASubscription) {
  for (const bool subscribed : {false, true}) {
    Fixture on;
    on.greet();
    if (subscribed) {
      on.ask(wire::encode(all_execs(), 1));
      EXPECT_EQ(on.client.ack().error, 0);
    }
    filter::Subscription asked = all_execs();
    asked.predicates = {wants(Key::kUnder, ::getpid())};
    on.daemon.scan_fails = true;
    EXPECT_EQ(on.ask(wire::encode(asked, 2)), subscribed ? Life::kClose : Life::kOpen);
    EXPECT_EQ(on.client.ack().error, E2BIG) << "sent before";
    EXPECT_EQ(on.hub.nodes(), 0u);
  }
}

TEST(NativeClient, AddsManyProcessesInPieces) {
  Fixture on;
  on.greet();
  filter::Subscription asked = all_execs();
  asked.only_added = true;
  on.ask(wire::encode(asked, 1));
  EXPECT_EQ(on.client.ack().error, 0);
  std::vector<wire::AddedProcess> pids;
  for (int32_t pid = 1; pid <= 1000; ++pid) pids.push_back({.pid = pid, .reserved = 0, .start = 1});
  ASSERT_TRUE(on.client.send(wire::encode(wire::Message::kAdd, pids, 2)));
  ASSERT_TRUE(on.client.send(*wire::encode(asked, 3)));
  EXPECT_EQ(on.connection->step(on.now_ns), ConnectionFromClient::Step::kMore);
  EXPECT_FALSE(on.daemon.followed.empty());
  EXPECT_LT(on.daemon.followed.size(), 100u);
  on.turn();
  EXPECT_EQ(on.daemon.followed.size(), 1000u);
  EXPECT_EQ(on.client.ack().request, 2u) << "requests are served in their order";
  EXPECT_EQ(on.client.ack().request, 3u);
}

TEST(NativeClient, AProcessStaysAddedIfALaterOneWithItsPidIsGone) {
  Fixture on;
  on.greet();
  filter::Subscription asked = all_execs();
  asked.only_added = true;
  on.ask(wire::encode(asked, 1));
  EXPECT_EQ(on.client.ack().error, 0);
  const auto add = [&](uint64_t start) {
    const wire::AddedProcess one{.pid = 5, .reserved = 0, .start = start};
    on.ask(wire::encode(wire::Message::kAdd, {&one, 1}, 2));
    return on.client.ack().error;
  };
  EXPECT_EQ(add(1), 0);
  on.daemon.missing_pid = 5;
  EXPECT_EQ(add(2), ESRCH);
  on.hub.process_ended(filter::Stream::kProcesses, 5, 2, {});
  EXPECT_TRUE(on.hub.is_added(5)) << "its exit was not published";
  on.hub.process_ended(filter::Stream::kProcesses, 5, 1, {});
  EXPECT_FALSE(on.hub.is_added(5));
}

TEST(NativeClient, AddsAndRemovesProcesses) {
  Fixture on;
  on.greet();
  filter::Subscription asked = all_execs();
  asked.only_added = true;
  on.ask(wire::encode(asked, 1));
  EXPECT_EQ(on.client.ack().error, 0);
  on.daemon.missing_pid = 13;
  const std::vector<wire::AddedProcess> pids{{.pid = 5, .reserved = 0, .start = 1},
                                             {.pid = 13, .reserved = 0, .start = 1},
                                             {.pid = 6, .reserved = 0, .start = 1}};
  on.ask(wire::encode(wire::Message::kAdd, pids, 2));
  EXPECT_EQ(on.client.ack().error, ESRCH);
  EXPECT_THAT(on.daemon.followed, ElementsAre(5, 6));
  for (const int32_t pid : {5, 6, 7, 13}) on.exec(pid);
  on.turn();
  EXPECT_THAT(pids_of(on.client.receive_all()), ElementsAre(5, 6));
  on.ask(wire::encode(wire::Message::kRemove, std::span(pids).first(1), 3));
  EXPECT_EQ(on.client.ack().error, 0);
  EXPECT_THAT(on.daemon.followed, ElementsAre(6));
  on.daemon.refuses = true;
  on.ask(wire::encode(all_execs(), 4));
  EXPECT_EQ(on.client.ack().error, ENOSPC);
  for (const int32_t pid : {5, 6}) on.exec(pid);
  on.turn();
  EXPECT_THAT(pids_of(on.client.receive_all()), ElementsAre(6)) << "the old subscription stays";
  EXPECT_THAT(on.daemon.followed, ElementsAre(6));
  on.connection.reset();
  on.hub.remove_abandoned_added(kForEver, [&on](int32_t pid) { on.daemon.unfollow(pid); });
  EXPECT_THAT(on.daemon.followed, IsEmpty()) << "nothing is followed for a closed connection";
  EXPECT_EQ(on.hub.nodes(), 0u);
}

TEST(NativeClient, DescriptorsSentByTheClientAreClosed) {
  const auto descriptors = [] {
    size_t count = 0;
    const std::unique_ptr<DIR, int (*)(DIR*)> all(::opendir("/proc/self/fd"), &::closedir);
    while (::readdir(all.get()) != nullptr) ++count;
    return count;
  };
  Fixture on;
  const UniqueFd sent(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const size_t before = descriptors();
  for (int i = 0; i < 50; ++i) {
    std::string packet = connector_request({KNELL_MCAST_LISTEN});
    iovec part{packet.data(), packet.size()};
    alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = sent.get();
    std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
    ASSERT_GT(::sendmsg(on.client.fd, &message, MSG_NOSIGNAL), 0);
    EXPECT_EQ(on.turn(), Life::kOpen);
    EXPECT_EQ(on.client.receive_all().size(), 1u) << "the request is served";
  }
  EXPECT_EQ(descriptors(), before);
}

TEST(NativeClient, RequestsAboveTheRateAreServedLater) {
  Fixture on({}, 5);
  on.greet();
  for (uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(on.client.send(*wire::encode(all_execs(), i)));
  on.turn();
  EXPECT_EQ(on.client.receive_all().size(), 4u);  // the HELLO and four requests reach the limit
  const uint64_t until = on.connection->held_until_ns();
  EXPECT_GT(until, on.now_ns);
  on.now_ns += 1'100'000'000;
  on.connection->release(on.now_ns);
  EXPECT_EQ(on.connection->held_until_ns(), 0u);
  on.turn();
  EXPECT_EQ(on.client.receive_all().size(), 5u);
}

TEST(NativeClient, ALongRequestCostsMoreOfTheRate) {
  Fixture on({}, 100);
  on.greet();
  filter::Subscription added = all_execs();
  added.only_added = true;
  on.ask(wire::encode(added, 1));
  EXPECT_EQ(on.client.ack().error, 0);
  std::vector<wire::AddedProcess> pids;
  for (int32_t pid = 1; pid <= 2000; ++pid) pids.push_back({.pid = pid, .reserved = 0, .start = 1});
  on.ask(wire::encode(wire::Message::kAdd, pids, 2));
  EXPECT_EQ(on.client.ack().error, 0) << "a request that was read is served";
  on.ask(wire::encode(all_execs(), 3));
  EXPECT_GT(on.connection->held_until_ns(), on.now_ns);
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
}

TEST(NativeClient, EachUnderCostsOneRequest) {
  Fixture on({}, 100);
  on.greet();
  filter::Subscription asked = all_execs();
  asked.predicates.assign(65, wants(Key::kUnder, ::getpid()));
  for (uint32_t seq = 1; seq <= 2; ++seq) {
    on.ask(wire::encode(asked, seq));
    const wire::Ack ack = on.client.ack();
    EXPECT_EQ(ack.error, ENOSPC);
    EXPECT_THAT(ack.text, HasSubstr("more than 64 processes"));
  }
  on.ask(wire::encode(all_execs(), 3));
  EXPECT_GT(on.connection->held_until_ns(), on.now_ns);
}

// A subscription above the quota does not start a search.
TEST(NativeClient, ChecksTheQuotaBeforeSearchingForUnder) {
  hub::Quotas quotas;
  quotas.values_per_user = quotas.values = 10;
  Fixture on(quotas, 100);
  on.greet();
  filter::Subscription asked = all_execs();
  asked.predicates.assign(65, wants(Key::kUnder, ::getpid()));
  on.ask(wire::encode(asked, 1));
  EXPECT_EQ(on.client.ack().error, EDQUOT);
}

TEST(NativeClient, ReadsNoRequestsWhileAnswersAreUnread) {
  Fixture on({}, 1'000'000);
  on.greet();
  on.daemon.json = std::string(10'000, 'j');
  size_t most = 0;
  for (uint32_t i = 0; i < 2000; ++i) {
    if (!on.client.send(wire::encode_status_request(i))) break;
    ASSERT_EQ(on.turn(), Life::kOpen);
    most = std::max(most, on.connection->listener().queue().answer_bytes());
  }
  EXPECT_TRUE(on.connection->has_too_many_answers());
  EXPECT_LT(most, 64u * 1024);
  on.client.receive_all();
  on.connection->unblock();
  on.connection->send(on.now_ns, ConnectionFromClient::Due::kNow);
  EXPECT_FALSE(on.connection->has_too_many_answers());
}

TEST(NativeClient, ASnapshotIsAnsweredByProcessesAndAnAck) {
  Fixture on;
  on.greet();
  on.daemon.alive = 100;
  on.ask(wire::encode_snapshot_request(1));
  EXPECT_EQ(on.client.ack().error, EINVAL) << "the client has not subscribed";
  on.ask(wire::encode(all_execs(), 2));
  ASSERT_EQ(on.client.ack().error, 0);
  on.ask(wire::encode_snapshot_request(3));
  const auto packets = on.client.receive_all();
  EXPECT_LT(packets.size(), 10u) << "many processes are in one frame";
  std::optional<wire::Ack> ack;
  const auto pids = pids_in_snapshot(packets, &ack);
  EXPECT_EQ(ack, (wire::Ack{.error = 0, .request = 3, .text = {}}));
  EXPECT_EQ(pids.size(), 100u);
  EXPECT_TRUE(std::ranges::is_sorted(pids));
  EXPECT_EQ(on.connection->listener().account().answer_bytes, 0u);
  on.daemon.alive = 0;
  on.ask(wire::encode_snapshot_request(4));
  EXPECT_EQ(on.client.ack().error, 0) << "nothing matches";
}

TEST(NativeClient, ASnapshotThatFailsEndsWithTheReason) {
  Fixture on;
  on.greet();
  on.ask(wire::encode(all_execs(), 1));
  ASSERT_EQ(on.client.ack().error, 0);
  on.daemon.alive = 50;
  on.daemon.snapshot_fails_at = 40;
  on.ask(wire::encode_snapshot_request(2));
  std::optional<wire::Ack> ack;
  EXPECT_LT(pids_in_snapshot(on.client.receive_all(), &ack).size(), 40u);
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->error, EIO);
  EXPECT_THAT(ack->text, HasSubstr("/proc"));
  EXPECT_EQ(on.connection->listener().account().answer_bytes, 0u);
  on.daemon.refuses = true;
  on.ask(wire::encode_snapshot_request(3));
  EXPECT_EQ(on.client.ack().error, EMFILE);
}

TEST(NativeClient, ASnapshotIsChargedForItsMemory) {
  hub::Quotas quotas;
  quotas.answer_bytes = FakeSnapshot::kBytes;  // this limit applies to root too
  Fixture on(quotas);
  on.greet();
  on.ask(wire::encode(all_execs(), 1));
  ASSERT_EQ(on.client.ack().error, 0);
  on.daemon.alive = 1;
  on.ask(wire::encode_snapshot_request(2));
  EXPECT_EQ(on.client.ack().error, ENOBUFS);
}

// A client that does not read stops its own snapshot, and only its queued packets use memory.
TEST(NativeClient, ASnapshotWaitsUntilTheClientReads) {
  Fixture on;
  on.greet();
  on.ask(wire::encode(all_execs(), 1));
  ASSERT_EQ(on.client.ack().error, 0);
  on.daemon.alive = 20'000;
  ASSERT_TRUE(on.client.send(wire::encode_snapshot_request(2)));
  size_t most = 0, turns = 0;
  while (on.turn() == Life::kOpen && !on.connection->blocked()) {
    most = std::max(most, on.connection->listener().account().answer_bytes);
    ASSERT_LT(++turns, 10'000u);
  }
  for (int i = 0; i < 10; ++i) on.turn();
  EXPECT_FALSE(on.connection->has_work());
  EXPECT_LT(most, 64u * 1024);
  std::vector<int32_t> pids;
  for (turns = 0; pids.size() < 20'000 && turns < 10'000; ++turns) {
    const auto some = pids_in_snapshot(on.client.receive_all());
    pids.insert(pids.end(), some.begin(), some.end());
    on.connection->unblock();
    on.connection->send(on.now_ns, ConnectionFromClient::Due::kNow);
    on.turn();
  }
  EXPECT_EQ(pids.size(), 20'000u);
}

TEST(NativeClient, EndsWhenTheClientHangsUp) {
  Fixture on;
  on.greet();
  on.theirs.reset();
  EXPECT_EQ(on.turn(), Life::kClose);
}

TEST(NativeClient, AConnectionAboveTheLimitGetsAReason) {
  Fixture on({.listeners = 0});
  EXPECT_EQ(on.connection, nullptr);
  const wire::Bye bye = on.client.bye();
  EXPECT_EQ(bye.error, EUSERS);
  EXPECT_THAT(bye.text, HasSubstr("limits.clients"));
}

// When packets are sent.

TEST(NativeClient, SendsASingleEventAtOnceAndLaterOnesTogether) {
  Fixture on;
  on.greet();
  filter::Subscription asked = all_execs();
  asked.latency_ns = 1'000'000'000;
  on.ask(wire::encode(asked, 1));
  ASSERT_EQ(on.client.ack().error, 0);
  const auto due = ConnectionFromClient::Due::kIfDue;
  on.now_ns += 2'000'000'000;
  on.exec(1);
  on.connection->send(on.now_ns, due);
  EXPECT_THAT(pids_of(on.client.receive_all()), ElementsAre(1));
  on.exec(2);
  on.exec(3);
  on.connection->send(on.now_ns + 1, due);
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
  EXPECT_EQ(on.connection->due_ns(), on.now_ns + 1'000'000'000);
  on.connection->send(on.connection->due_ns(), due);
  EXPECT_THAT(pids_of(on.client.receive_all()), ElementsAre(2, 3));
  EXPECT_EQ(on.connection->due_ns(), 0u);
}

// A large latency budget delays events but must not lose any.
TEST(NativeClient, ALargeLatencyBudgetLosesNothing) {
  Fixture on({.queue_bytes = 100'000});
  on.greet();
  filter::Subscription asked = all_execs();
  asked.latency_ns = 60'000'000'000;
  on.ask(wire::encode(asked, 1));
  ASSERT_EQ(on.client.ack().error, 0);
  size_t received = 0;
  for (int32_t pid = 1; pid <= 5000; ++pid) {
    on.exec(pid);
    on.connection->send(on.now_ns, ConnectionFromClient::Due::kIfDue);
    received += pids_of(on.client.receive_all()).size();
  }
  EXPECT_EQ(on.connection->listener().queue().lost(), 0u);
  EXPECT_GT(received, 4000u);
}

TEST(NativeClient, EventsLeftAfterATurnAreDueWithoutLatency) {
  Fixture on;
  on.greet();
  on.ask(wire::encode(all_execs(), 1));
  ASSERT_EQ(on.client.ack().error, 0);
  int size = 4 << 20;
  ASSERT_EQ(::setsockopt(on.connection->fd(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size), 0)
      << "needs root";
  for (int32_t pid = 1; pid <= 10'000; ++pid) on.exec(pid);
  size_t received = 0;
  for (int turns = 0; turns < 100 && received < 10'000; ++turns) {
    ASSERT_NE(on.connection->due_ns(), 0u) << received;
    ASSERT_EQ(on.connection->send(on.now_ns, ConnectionFromClient::Due::kIfDue), Life::kOpen);
    received += pids_of(on.client.receive_all()).size();
  }
  EXPECT_EQ(received, 10'000u);
}

TEST(NativeClient, ADurableSubscriptionIsAckedWhenTheJournalHasIt) {
  Fixture on;
  on.greet();
  on.daemon.done = DaemonInterface::Done::kLater;
  const wire::Durable durable{.name = "n", .cursor = {}};
  on.ask(*wire::encode(all_execs(), 1, &durable));
  EXPECT_THAT(on.daemon.durables, ElementsAre("n"));
  EXPECT_TRUE(on.connection->awaits_journal());
  // No further request is handled before the answer, and its events do not come from the hub.
  on.ask(wire::encode(wire::Acknowledge{.cursor = "k1:x:1"}, 2));
  on.exec(1);
  on.turn();
  EXPECT_THAT(on.client.receive_all(), IsEmpty());
  EXPECT_THAT(on.daemon.acknowledged, IsEmpty());
  on.connection->finish_durable({});
  on.turn();
  const wire::Ack subscribed = on.client.ack();
  EXPECT_EQ(subscribed.error, 0);
  EXPECT_EQ(subscribed.request, 1u);
  EXPECT_THAT(on.daemon.acknowledged, ElementsAre("k1:x:1"));
  on.connection->finish_durable(say(ESTALE, "replaced"));
  on.turn();
  EXPECT_EQ(on.client.ack().error, ESTALE);
  EXPECT_NE(on.connection->listener().node(), nullptr);
  EXPECT_EQ(on.daemon.detached, 0);
}

// Otherwise the hub would send it the first events of an ordinary listener, and a restart meanwhile
// would keep it as one.
TEST(NativeClient, ADurableSubscriptionGetsNothingFromTheHubFromItsBegin) {
  Fixture on;
  on.greet();
  on.daemon.unscanned = 3;
  const wire::Durable durable{.name = "n", .cursor = {}};
  EXPECT_TRUE(on.client.send(*wire::encode(all_execs(), 1, &durable)));
  while (on.connection->listener().node() == nullptr) on.connection->step(on.now_ns);
  ASSERT_THAT(on.daemon.durables, IsEmpty());
  on.exec(1);
  EXPECT_TRUE(on.connection->listener().queue().empty());
  EXPECT_TRUE(on.connection->is_durable());
  on.turn();
  EXPECT_THAT(on.daemon.durables, ElementsAre("n"));
  EXPECT_EQ(on.client.ack().error, 0);
}

TEST(NativeClient, ADurableSubscriptionThatTheSourcesRefuseLeavesAnOrdinaryListener) {
  Fixture on;
  on.greet();
  on.daemon.refuses = true;
  const wire::Durable durable{.name = "n", .cursor = {}};
  on.ask(*wire::encode(all_execs(), 1, &durable));
  EXPECT_EQ(on.client.ack().error, ENOSPC);
  EXPECT_FALSE(on.connection->is_durable());
  on.daemon.refuses = false;
  on.ask(*wire::encode(all_execs(), 2));
  EXPECT_EQ(on.client.ack().error, 0);
  on.exec(5);
  on.turn();
  EXPECT_THAT(pids_of(on.client.receive_all()), ElementsAre(5));
}

TEST(NativeClient, ADurableListenerEndsWhenALaterSubscriptionIsRefused) {
  const wire::Durable durable{.name = "n", .cursor = {}};
  filter::Subscription threads = all_execs();
  threads.stream = filter::Stream::kThreads;
  for (const bool by_sources : {false, true}) {
    Fixture on;
    on.greet();
    on.ask(*wire::encode(all_execs(), 1, &durable));
    EXPECT_EQ(on.client.ack().error, 0);
    on.daemon.refuses = by_sources;
    on.ask(*wire::encode(by_sources ? all_execs() : threads, 2, &durable));
    EXPECT_EQ(on.client.ack().error, by_sources ? ENOSPC : EINVAL);
    EXPECT_FALSE(on.connection->is_durable());
    EXPECT_EQ(on.connection->listener().node(), nullptr);
    EXPECT_EQ(on.daemon.detached, 1);
  }
}

TEST(NativeClient, ADurableListenerThatIsRefusedListensToNothing) {
  Fixture on;
  on.greet();
  const wire::Durable durable{.name = "n", .cursor = {}};
  on.daemon.refuses_durable = true;
  on.ask(*wire::encode(all_execs(), 1, &durable));
  EXPECT_EQ(on.client.ack().error, EBUSY);
  EXPECT_EQ(on.connection->listener().node(), nullptr);
  EXPECT_EQ(on.daemon.detached, 1);
  filter::Subscription threads = all_execs();
  threads.stream = filter::Stream::kThreads;
  on.ask(*wire::encode(threads, 2, &durable));
  EXPECT_EQ(on.client.ack().error, EINVAL);
  on.ask(wire::encode(wire::Acknowledge{.cursor = "k1:x:1"}, 3));
  EXPECT_EQ(on.client.ack().error, EINVAL);
}

}  // namespace
}  // namespace knell::server
