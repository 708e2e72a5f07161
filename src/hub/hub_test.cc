// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "filter/predicate_for_test.h"
#include "hub/event_encoder_for_test.h"

namespace knell::hub {
namespace {

using filter::Key;
using filter::wants;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Scope kAll{.every_user = true};

struct Fixture {
  explicit Fixture(const Quotas& quotas = {}) : hub(encoder, quotas) {}

  Listener& listener(const Scope& scope = kAll, uint32_t uid = 0, uint64_t since_ns = 0) {
    return **hub.connect({.uid = uid, .scope = scope, .since_ns = since_ns}, nullptr);
  }
  Listener& listener(const Subscription& asked, uint32_t uid = 0) {
    Listener& made = listener(kAll, uid);
    EXPECT_TRUE(hub.subscribe(made, asked));
    return made;
  }
  void exec(int32_t pid, uint32_t uid = 0, std::vector<event::NamespacePids> levels = {}) {
    knell_event event{};
    event.size = sizeof event;
    event.type = KNELL_EVENT_EXEC;
    event.pid = event.id.pid = pid;
    event.has = KNELL_HAS_UID;
    event.uid = uid;
    event.mono_ns = ++now_ns;
    PublishedEvent published;
    published.type = event.type;
    published.pid = pid;
    published.stamp_ns = event.mono_ns;
    published.uid_known = published.levels_known = true;
    published.uid = uid;
    published.levels = levels;
    published.event = &event;
    hub.publish(published, NoAncestry());
  }
  void killed(int32_t pid, uint32_t uid, uint32_t killer_uid, uint32_t cause = KNELL_CAUSE_USER) {
    knell_event event{};
    event.type = KNELL_EVENT_EXIT;
    event.pid = pid;
    event.has = KNELL_HAS_KILLER;
    auto& killer = event.killed_by;
    killer.pid = cause == KNELL_CAUSE_OOM ? 0 : 5;
    killer.uid = killer_uid;
    killer.cause = cause;
    killer.parent_pid = 4;
    killer.comm = killer.parent_comm = killer.unit = {"secret", 6};
    publish(event, uid);
  }
  void asked(int32_t pid, uint32_t uid, uint32_t asker_uid) {
    knell_event event{};
    event.type = KNELL_EVENT_EXIT;
    event.pid = pid;
    event.has = KNELL_HAS_LAST_SIGNAL;
    event.last_signal.pid = 6;
    event.last_signal.uid = asker_uid;
    event.last_signal.comm = event.last_signal.parent_comm = {"secret", 6};
    publish(event, uid);
  }
  void publish(const knell_event& event, uint32_t uid) {
    PublishedEvent published;
    published.type = event.type;
    published.pid = event.pid;
    published.stamp_ns = ++now_ns;
    published.uid_known = published.levels_known = true;
    published.uid = uid;
    published.event = &event;
    hub.publish(published, NoAncestry());
  }
  void lose(uint64_t count, uint32_t types, Stream stream = Stream::kProcesses) {
    knell_event event{};
    event.type = KNELL_EVENT_LOST;
    event.lost_count = count;
    event.lost_types = types;
    PublishedEvent published;
    published.stream = stream;
    published.type = event.type;
    published.stamp_ns = ++now_ns;
    published.event = &event;
    hub.publish(published, NoAncestry());
  }
  void datagram(int32_t pid, std::vector<event::NamespacePids> levels = {}) {
    event::Raw raw;
    raw.what = KNELL_EVENT_EXEC;
    raw.pid = raw.tid = pid;
    PublishedEvent published;
    published.stream = Stream::kDatagrams;
    published.type = raw.what;
    published.pid = pid;
    published.stamp_ns = ++now_ns;
    published.levels_known = true;
    published.levels = levels;
    published.raw = &raw;
    hub.publish(published, NoAncestry());
  }
  // Empties the listener's queue; returns the items as the encoder's text, without the details.
  std::vector<std::string> read(Listener& listener) {
    std::vector<std::string> words;
    while (!listener.queue().empty()) {
      std::string text(listener.queue()[0].bytes.view());
      words.push_back(text.substr(0, text.find(" details")));
      hub.popped(listener, 1);
    }
    return words;
  }
  std::vector<Listener*> fresh() {
    std::vector<Listener*> all;
    hub.fresh([&](Listener& one) { all.push_back(&one); });
    return all;
  }

  FakeEventEncoder encoder;
  Hub hub;
  uint64_t now_ns = 1000;
};

TEST(Hub, RecoveredEventsGoToListenersThatAskForThem) {
  Fixture on;
  Listener& plain = on.listener(Subscription{});
  Listener& recovers = on.listener(Subscription{.recover = true});
  EXPECT_EQ(on.hub.nodes(), 2u);
  knell_event event{};
  event.type = KNELL_EVENT_EXIT;
  event.pid = 5;
  event.flags = KNELL_FLAG_RECOVERED;
  on.publish(event, 0);
  EXPECT_TRUE(on.read(plain).empty());
  EXPECT_EQ(on.read(recovers).size(), 1u);
  const auto interests = on.hub.interests(Stream::kProcesses);
  EXPECT_EQ(std::ranges::count_if(interests, &filter::Interest::recover), 1);
}

TEST(Hub, EncodesAnEventOnceForEachForm) {
  Fixture on;
  std::vector<Listener*> same;
  for (int i = 0; i < 50; ++i) same.push_back(&on.listener(Subscription{}));
  Listener& brief = on.listener(Subscription{.details = KNELL_DETAILS_STATUS});
  Listener& other = on.listener(Subscription{.mask = KNELL_EVENT_EXEC});
  EXPECT_EQ(on.hub.nodes(), 3u);
  on.exec(7);
  EXPECT_EQ(on.encoder.events, 2u);  // the number of forms, not of listeners or filters
  const char* bytes = same[0]->queue()[0].bytes.view().data();
  for (const Listener* one : same) EXPECT_EQ(one->queue()[0].bytes.view().data(), bytes);
  EXPECT_EQ(other.queue()[0].bytes.view().data(), bytes);
  EXPECT_EQ(brief.queue()[0].bytes.view(), "pid 7 details 2");
}

TEST(Hub, EqualFiltersShareANode) {
  Fixture on;
  on.listener(Subscription{.predicates = {wants(Key::kComm, "a"), wants(Key::kUid, 1)}});
  on.listener(Subscription{.predicates = {wants(Key::kUid, 1), wants(Key::kComm, "a")}});
  EXPECT_EQ(on.hub.nodes(), 1u);
  on.listener(Subscription{.predicates = {wants(Key::kUid, 1), wants(Key::kComm, "b")}});
  EXPECT_EQ(on.hub.nodes(), 2u);
}

// The processes differ: the pid was reused.
TEST(Hub, RootsWithOnePidAndOtherStartsShareNoNode) {
  Fixture on;
  filter::Predicate earlier = wants(Key::kUnder, 5), later = earlier;
  earlier.start = 1;
  later.start = 2;
  on.listener(Subscription{.predicates = {earlier}});
  on.listener(Subscription{.predicates = {earlier}});
  EXPECT_EQ(on.hub.nodes(), 1u);
  on.listener(Subscription{.predicates = {later}});
  EXPECT_EQ(on.hub.nodes(), 2u);
}

// Two filters with equal keys would share a node, so keys must escape special bytes.
TEST(Hub, ValuesWithSpecialBytesMakeDifferentKeys) {
  Fixture on;
  using namespace std::string_literals;
  on.listener(Subscription{.predicates = {wants(Key::kComm, "a\0unit\0b"s)}});
  on.listener(Subscription{.predicates = {wants(Key::kComm, "a"), wants(Key::kUnit, "b")}});
  on.listener(Subscription{.predicates = {wants(Key::kComm, "aunit=1:b")}});
  EXPECT_EQ(on.hub.nodes(), 3u);
}

TEST(Hub, LostIsQueuedInOrderWithItsExactCount) {
  // The queue has room for four events
  Fixture on({.queue_bytes = 4 * (100 + Queue::kItemBytes)});
  on.encoder.padding = 100;
  Listener& slow = on.listener(Subscription{});
  Listener& quick = on.listener(Subscription{.details = KNELL_DETAILS_STATUS});
  for (int32_t pid = 1; pid <= 9; ++pid) {
    on.exec(pid);
    EXPECT_EQ(on.read(quick).size(), 1u);
  }
  EXPECT_THAT(on.read(slow), ElementsAre("pid 1", "pid 2", "pid 3", "pid 4", "lost 5 exact"));
  EXPECT_EQ(on.encoder.last_lost.lost_from_ns, 1005u);
  EXPECT_EQ(on.encoder.last_lost.lost_until_ns, 1009u);
  on.exec(10);
  EXPECT_THAT(on.read(slow), ElementsAre("pid 10"));
  EXPECT_EQ(slow.queue().lost(), 5u);
  EXPECT_EQ(on.hub.counters().lost, 5u);
  EXPECT_EQ(on.hub.counters().delivered, 5u + 10u);
}

TEST(Hub, QueuedEventsStayWhenASubscriptionIsReplaced) {
  Fixture on;
  Listener& one = on.listener(Subscription{});
  on.exec(1);
  ASSERT_TRUE(on.hub.subscribe(one, Subscription{.mask = KNELL_EVENT_EXEC}));
  on.exec(2);
  ASSERT_TRUE(on.hub.subscribe(one, Subscription{.mask = KNELL_EVENT_EXIT}));
  on.exec(3);
  EXPECT_THAT(on.read(one), ElementsAre("pid 1", "pid 2"));
  EXPECT_EQ(on.hub.nodes(), 1u);
}

TEST(Hub, ARefusedSubscriptionChangesNothing) {
  Fixture on({.values_per_user = 2});
  Listener& one =
      on.listener(Subscription{.predicates = {wants(Key::kPid, 1), wants(Key::kPid, 2)}}, 1000);
  const auto wrong = on.hub.subscribe(one, Subscription{.predicates = {wants(Key::kPid, 0)}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, EINVAL);
  const auto much = on.hub.subscribe(
      one,
      Subscription{.predicates = {wants(Key::kPid, 1), wants(Key::kPid, 2), wants(Key::kPid, 3)}});
  ASSERT_FALSE(much);
  EXPECT_EQ(much.error().code, EDQUOT);
  on.exec(2);
  on.exec(3);
  EXPECT_THAT(on.read(one), ElementsAre("pid 2"));
}

TEST(Hub, AccountsReturnToZero) {
  Fixture on({.queue_bytes = 300});
  Listener& stays = on.listener(kAll, 1000);
  const uint32_t uid = 1000;
  for (int i = 0; i < 3; ++i) {
    Listener& one = on.listener(
        Subscription{.predicates = {wants(Key::kUid, 0), wants(Key::kUid, 1), wants(Key::kUid, 2)}},
        uid);
    ASSERT_TRUE(on.hub.subscribe(one, Subscription{.only_added = true}));
    ASSERT_TRUE(on.hub.add(one, 5, 0));
    ASSERT_TRUE(on.hub.subscribe(one, Subscription{.mask = KNELL_EVENT_EXEC, .only_added = true}));
    EXPECT_EQ(on.hub.users().all().at(uid).added, 1u);
    for (int n = 0; n < 20; ++n) on.exec(5);
    on.hub.answer(one, "an answer");
    if (i == 1) {
      ASSERT_TRUE(on.hub.subscribe(one, Subscription{.predicates = {wants(Key::kPid, 1)}}));
    }
    if (i == 2) on.hub.unsubscribe(one);
    EXPECT_GT(on.hub.users().all().at(uid).bytes, 0u);
    on.hub.disconnect(&one);
  }
  EXPECT_EQ(on.hub.users().all().at(uid), (Users::Account{.owner = uid, .listeners = 1}));
  on.hub.disconnect(&stays);
  EXPECT_THAT(on.hub.users().all(), IsEmpty());
  EXPECT_EQ(on.hub.bytes(), 0u);
  EXPECT_THAT(on.fresh(), IsEmpty());
  EXPECT_TRUE(on.hub.remove_abandoned_added(1'000'000, [](int32_t) {}));
  EXPECT_TRUE(on.hub.is_empty_for_testing());
}

TEST(Hub, AUserAboveItsMemoryLimitLosesOnlyItsOwnEvents) {
  Fixture on({.user_bytes = 100'000});
  on.encoder.padding = 1000;
  Listener& slow = on.listener(Subscription{}, 1000);
  Listener& other = on.listener(Subscription{}, 1001);
  for (int32_t pid = 1; pid <= 400; ++pid) {
    on.exec(pid);
    EXPECT_EQ(on.read(other).size(), 1u);
  }
  EXPECT_LE(on.hub.users().all().at(1000).bytes, 100'000u + 2000);
  EXPECT_EQ(other.queue().lost(), 0u);
  EXPECT_EQ(slow.queue().delivered() + slow.queue().lost(), 400u);
  const auto words = on.read(slow);
  EXPECT_EQ(words.back(), "lost " + std::to_string(slow.queue().lost()) + " exact");
}

TEST(Hub, ShedsOnlyTheLongestQueuesAboveTheMemoryLimit) {
  Fixture on({.queue_bytes = 1 << 20, .memory_bytes = 200'000});
  on.encoder.padding = 1000;
  Listener& slow = on.listener(Subscription{});
  Listener& good = on.listener(Subscription{.details = KNELL_DETAILS_STATUS});
  for (int32_t pid = 1; pid <= 1000; ++pid) {
    on.exec(pid);
    EXPECT_LE(on.hub.bytes(), 200'000u + 2000);
    ASSERT_EQ(on.read(good).size(), 1u);
  }
  EXPECT_EQ(good.queue().lost(), 0u);
  EXPECT_GT(slow.queue().lost(), 0u);
  EXPECT_EQ(slow.queue().delivered() + slow.queue().lost(), 1000u);
  uint64_t delivered = 0, lost = 0;
  for (const std::string& words : on.read(slow)) {
    if (words.starts_with("lost "))
      lost += std::stoull(words.substr(5));
    else
      ++delivered;
  }
  EXPECT_EQ(delivered + lost, 1000u);
}

TEST(Hub, QueuedAnswersNeverDropEvents) {
  Fixture on({.queue_bytes = 1 << 20, .memory_bytes = 20'000});
  on.encoder.padding = 1000;
  Listener& victim = on.listener(Subscription{});
  std::vector<Listener*> askers;
  for (int i = 0; i < 5; ++i) {
    askers.push_back(&on.listener(kAll, 1000));
    on.hub.answer(*askers.back(), std::string(10'000, 'a'));
  }
  EXPECT_GT(on.hub.users().all().at(1000).answer_bytes, 50'000u);
  for (int32_t pid = 1; pid <= 10; ++pid) on.exec(pid);
  EXPECT_EQ(victim.queue().lost(), 0u);
  EXPECT_EQ(on.read(victim).size(), 10u);
  for (Listener* one : askers) on.hub.disconnect(one);
  EXPECT_EQ(on.hub.bytes(), 0u);
}

TEST(Hub, RefusesALongAnswerAboveTheUsersLimit) {
  Fixture on({.answer_bytes_per_user = 1000});
  Listener& one = on.listener(kAll, 1000);
  Listener& same = on.listener(kAll, 1000);
  Listener& other = on.listener(kAll, 1001);
  ASSERT_TRUE(on.hub.may_answer(one, 900));
  on.hub.answer(one, std::string(900, 'a'));
  EXPECT_EQ(on.hub.may_answer(same, 900).error().code, EDQUOT);
  EXPECT_TRUE(on.hub.may_answer(other, 900));
  on.read(one);
  EXPECT_TRUE(on.hub.may_answer(same, 900));
}

TEST(Hub, ChargesAnAnswerThatIsBeingPrepared) {
  Fixture on({.answer_bytes_per_user = 1000});
  Listener& one = on.listener(kAll, 1000);
  Listener& same = on.listener(kAll, 1000);
  ASSERT_TRUE(on.hub.prepare_answer(one, 400));
  ASSERT_TRUE(on.hub.prepare_answer(one, 900));
  EXPECT_EQ(on.hub.users().all().at(1000).answer_bytes, 900u);
  EXPECT_EQ(on.hub.prepare_answer(same, 200).error().code, EDQUOT);
  EXPECT_EQ(on.hub.prepare_answer(one, 1100).error().code, EDQUOT);
  EXPECT_EQ(on.hub.users().all().at(1000).answer_bytes, 0u) << "nothing is charged on an error";
  ASSERT_TRUE(on.hub.prepare_answer(one, 900));
  ASSERT_TRUE(on.hub.prepare_answer(one, 0));
  ASSERT_TRUE(on.hub.prepare_answer(same, 900));
  on.hub.disconnect(&same);
  EXPECT_EQ(on.hub.users().all().at(1000).answer_bytes, 0u);
  on.hub.disconnect(&one);
  EXPECT_EQ(on.hub.bytes(), 0u);
}

// The publisher still holds a reference to the events that the hub drops, so dropping them frees no
// memory and the total stays above the limit: this must not empty a short queue.
TEST(Hub, NeverShedsAShortQueue) {
  Fixture on({.queue_bytes = 1 << 20, .memory_bytes = 20'000});
  Listener& modest = on.listener(Subscription{.predicates = {wants(Key::kPid, 1)}});
  Listener& greedy = on.listener(Subscription{});
  on.exec(1);
  on.encoder.padding = 30'000;
  on.exec(2);
  EXPECT_EQ(greedy.queue().lost(), 2u);
  EXPECT_EQ(modest.queue().lost(), 0u);
}

// There may be no further event for this listener.
TEST(Hub, ReportsAShedQueueWithoutAnotherEvent) {
  Fixture on({.queue_bytes = 1 << 20, .memory_bytes = 20'000});
  on.encoder.padding = 1000;
  Listener& one = on.listener(Subscription{});
  int32_t pid = 1;
  for (; one.queue().lost() == 0; ++pid) on.exec(pid);
  EXPECT_TRUE(one.queue().empty());
  EXPECT_THAT(on.fresh(), ElementsAre(&one));
  EXPECT_THAT(on.fresh(), IsEmpty());
  EXPECT_THAT(on.read(one), ElementsAre("lost " + std::to_string(pid - 1) + " exact"));
}

TEST(Hub, ReportsAnEventLargerThanTheQueueAsLostAtOnce) {
  Fixture on({.queue_bytes = 100});
  on.encoder.padding = 1000;
  Listener& one = on.listener(Subscription{});
  on.exec(1);
  EXPECT_THAT(on.fresh(), ElementsAre(&one));
  EXPECT_THAT(on.read(one), ElementsAre("lost 1 exact"));
}

TEST(Hub, ReportsALossOfTheSourceToListenersOfItsTypes) {
  Fixture on;
  Listener& execs = on.listener(Subscription{.mask = KNELL_EVENT_EXEC});
  Listener& exits = on.listener(Subscription{.mask = KNELL_EVENT_NONZERO_EXIT});
  Listener& silent = on.listener(kAll);
  on.lose(12, KNELL_EVENT_EXIT | KNELL_EVENT_FORK);
  EXPECT_THAT(on.read(execs), IsEmpty());
  EXPECT_THAT(on.read(exits), ElementsAre("lost 12 at most"));
  EXPECT_EQ(on.encoder.last_lost.lost_types, uint32_t{KNELL_EVENT_EXIT});
  EXPECT_THAT(on.read(silent), IsEmpty());
}

TEST(Hub, AHoleWithALossOfTheSourceIsNotExact) {
  Fixture on({.queue_bytes = 100 + Queue::kItemBytes});
  on.encoder.padding = 100;
  Listener& one = on.listener(Subscription{});
  on.exec(1);
  on.exec(2);
  on.lose(10, KNELL_EVENT_ALL);
  EXPECT_THAT(on.read(one), ElementsAre("pid 1", "lost 11 at most"));
}

TEST(Hub, DropsEventsStampedBeforeTheListenerConnected) {
  Fixture on;
  Listener& late = on.listener(kAll, 0, on.now_ns + 2);
  ASSERT_TRUE(on.hub.subscribe(late, Subscription{}));
  on.exec(1);
  on.exec(2);
  EXPECT_THAT(on.read(late), ElementsAre("pid 2"));
}

TEST(Hub, AUserReceivesOnlyItsOwnEventsAndUnknownUidsAreWithheld) {
  Fixture on;
  Listener& user = on.listener(Scope{.every_user = false, .uid = 1000}, 1000);
  ASSERT_TRUE(on.hub.subscribe(user, Subscription{}));
  on.exec(1, 0);
  on.exec(2, 1000);
  on.exec(3, 1001);
  EXPECT_THAT(on.read(user), ElementsAre("pid 2"));
  EXPECT_EQ(on.hub.counters().withheld_uid, 0u);
  knell_event event{};
  PublishedEvent published;
  published.type = event.type = KNELL_EVENT_EXEC;
  published.event = &event;
  on.hub.publish(published, NoAncestry());
  EXPECT_THAT(on.read(user), IsEmpty());
  EXPECT_EQ(on.hub.counters().withheld_uid, 1u);
}

TEST(Hub, HidesAKillerOfAnotherUser) {
  Fixture on;
  Listener& user = on.listener(Scope{.every_user = false, .uid = 1000}, 1000);
  Listener& root = on.listener(Subscription{});
  ASSERT_TRUE(on.hub.subscribe(user, {}));
  on.killed(1, 1000, 1000);
  EXPECT_EQ(on.encoder.events, 1u) << "one encoding for both";
  on.killed(2, 1000, 0);
  EXPECT_EQ(on.encoder.events, 3u);
  on.killed(3, 1000, 0, KNELL_CAUSE_OOM);
  EXPECT_EQ(on.encoder.events, 4u) << "no killer is named";
  EXPECT_THAT(on.read(user), ElementsAre("pid 1 killed by 5", "pid 2", "pid 3 killed by 0"));
  EXPECT_THAT(on.read(root),
              ElementsAre("pid 1 killed by 5", "pid 2 killed by 5", "pid 3 killed by 0"));
}

TEST(Hub, HidesAProcessOfAnotherUserWhoseExitWasTheCause) {
  Fixture on;
  Listener& user = on.listener(Scope{.every_user = false, .uid = 1000}, 1000);
  ASSERT_TRUE(on.hub.subscribe(user, {}));
  on.killed(1, 1000, 0, KNELL_CAUSE_KERNEL);
  const auto& killer = on.encoder.last_event.killed_by;
  EXPECT_EQ(killer.cause, static_cast<uint32_t>(KNELL_CAUSE_KERNEL)) << "the cause is not hidden";
  EXPECT_EQ(killer.parent_pid, 0);
  for (const knell_string* text : {&killer.comm, &killer.parent_comm, &killer.unit})
    EXPECT_EQ(text->data, nullptr);
  on.killed(2, 1000, 1000, KNELL_CAUSE_KERNEL);
  EXPECT_THAT(on.read(user), ElementsAre("pid 1 killed by 0", "pid 2 killed by 5"));
}

TEST(Hub, HidesTheSenderOfTheLastSignalOfAnotherUser) {
  Fixture on;
  Listener& user = on.listener(Scope{.every_user = false, .uid = 1000}, 1000);
  Listener& root = on.listener(Subscription{});
  ASSERT_TRUE(on.hub.subscribe(user, {}));
  on.asked(1, 1000, 1000);
  EXPECT_EQ(on.encoder.events, 1u) << "one encoding for both";
  on.asked(2, 1000, 0);
  EXPECT_THAT(on.read(user), ElementsAre("pid 1 asked by 6", "pid 2"));
  EXPECT_THAT(on.read(root), ElementsAre("pid 1 asked by 6", "pid 2 asked by 6"));
}

TEST(Hub, ANamespaceReceivesItsOwnEventsWithItsPids) {
  Fixture on;
  Listener& outer = on.listener(Scope{.every_user = true, .uid = 0, .ns = 100});
  Listener& inner = on.listener(Scope{.every_user = true, .uid = 0, .ns = 200});
  Listener& user = on.listener(Scope{.every_user = false, .uid = 7, .ns = 200}, 7);
  for (Listener* one : {&outer, &inner, &user}) ASSERT_TRUE(on.hub.subscribe(*one, {}));
  on.exec(1000, 0);
  on.exec(1001, 0, {{.ns = 100, .pid = 11}});
  on.exec(1002, 7, {{.ns = 100, .pid = 12}, {.ns = 200, .pid = 2}});
  on.exec(1003, 8, {{.ns = 100, .pid = 13}, {.ns = 200, .pid = 3}});
  EXPECT_THAT(on.read(outer), ElementsAre("pid 11", "pid 12", "pid 13"));
  EXPECT_THAT(on.read(inner), ElementsAre("pid 2", "pid 3"));
  EXPECT_THAT(on.read(user), ElementsAre("pid 2"));
}

TEST(Hub, DeliversOnlyAddedProcessesUntilTheyEnd) {
  Fixture on;
  Listener& one = on.listener(Subscription{.only_added = true});
  Listener& other = on.listener(Subscription{.only_added = true});
  EXPECT_EQ(on.hub.nodes(), 2u);  // nodes with added processes are not shared
  ASSERT_TRUE(on.hub.add(one, 5, 77));
  EXPECT_EQ(on.hub.add(one, 5, 0).error().code, EEXIST);
  EXPECT_EQ(on.hub.add(one, 0, 0).error().code, EINVAL);
  ASSERT_TRUE(on.hub.add(other, 5, 0));
  on.exec(5);
  on.exec(6);
  EXPECT_THAT(on.read(one), ElementsAre("pid 5"));
  EXPECT_THAT(on.read(other), ElementsAre("pid 5"));
  on.hub.process_ended(Stream::kThreads, 5, 77, {});    // of another stream
  on.hub.process_ended(Stream::kProcesses, 5, 66, {});  // an earlier process with that pid
  EXPECT_TRUE(on.hub.is_added(5));
  on.exec(5);
  EXPECT_THAT(on.read(one), ElementsAre("pid 5"));
  EXPECT_THAT(on.read(other), IsEmpty());
  on.hub.process_ended(Stream::kProcesses, 5, 77, {});
  EXPECT_FALSE(on.hub.is_added(5));
  on.exec(5);
  EXPECT_THAT(on.read(one), IsEmpty());
  EXPECT_EQ(on.hub.remove(one, 5).error().code, ENOENT);
}

// The exit of process 5 that began at `start`; 0: an unknown time. Returns how many events the
// listener has then.
size_t exit_of_5(Fixture& on, Listener& listener, uint64_t start) {
  knell_event event{};
  event.type = KNELL_EVENT_EXIT;
  event.pid = event.id.pid = 5;
  event.id.kind = start != 0 ? KNELL_ID_START : KNELL_ID_NONE;
  event.id.start = start;
  on.publish(event, 0);
  on.hub.process_ended(Stream::kProcesses, 5, start, {});
  return listener.queue().size();
}

// The exit of the first process is not published yet when the second one is added.
TEST(Hub, AnAddedPidMayBeReused) {
  Fixture on;
  Listener& one = on.listener(Subscription{.only_added = true});
  ASSERT_TRUE(on.hub.add(one, 5, 100));
  EXPECT_EQ(on.hub.add(one, 5, 100).error().code, EEXIST);
  ASSERT_TRUE(on.hub.add(one, 5, 200));
  EXPECT_EQ(on.hub.add(one, 5, 0).error().code, EEXIST);
  EXPECT_EQ(exit_of_5(on, one, 100), 1u);
  EXPECT_TRUE(on.hub.is_added(5));
  EXPECT_EQ(exit_of_5(on, one, 100), 1u) << "it has ended";
  EXPECT_EQ(exit_of_5(on, one, 200), 2u);
  EXPECT_FALSE(on.hub.is_added(5));
}

TEST(Hub, AnExitWithoutAStartIsThatOfTheEarlierProcess) {
  Fixture on;
  Listener& one = on.listener(Subscription{.only_added = true});
  ASSERT_TRUE(on.hub.add(one, 5, 100));
  ASSERT_TRUE(on.hub.add(one, 5, 200));
  EXPECT_EQ(exit_of_5(on, one, 0), 1u);
  EXPECT_TRUE(on.hub.is_added(5));
  EXPECT_EQ(exit_of_5(on, one, 0), 2u);
  EXPECT_FALSE(on.hub.is_added(5));
}

TEST(Hub, OfAReusedPidTheLaterProcessIsRemoved) {
  Fixture on({.added_per_user = 1});
  Listener& one = on.listener(Scope{.every_user = false, .uid = 7}, 7);
  ASSERT_TRUE(on.hub.subscribe(one, Subscription{.only_added = true}));
  ASSERT_TRUE(on.hub.add(one, 5, 100));
  ASSERT_TRUE(on.hub.add(one, 5, 200));
  ASSERT_TRUE(on.hub.remove(one, 5));
  EXPECT_EQ(on.hub.add(one, 6, 0).error().code, EDQUOT) << "the first one still counts";
  on.hub.process_ended(Stream::kProcesses, 5, 200, {});
  EXPECT_TRUE(on.hub.is_added(5));
  on.hub.process_ended(Stream::kProcesses, 5, 100, {});
  EXPECT_FALSE(on.hub.is_added(5));
  ASSERT_TRUE(on.hub.add(one, 6, 0));
  EXPECT_EQ(on.hub.remove(one, 5).error().code, ENOENT);
}

// Starts are not checked for a client in another pid namespace.
TEST(Hub, APidThatIsAddedAgainAndAgainNeedsNoMoreMemory) {
  Fixture on;
  Listener& one = on.listener(Subscription{.only_added = true});
  for (uint64_t start = 1; start <= 1000; ++start) ASSERT_TRUE(on.hub.add(one, 5, start));
  EXPECT_EQ(one.node()->added.size(), 1u);
  EXPECT_EQ(one.node()->replaced.size(), 1u);
  on.hub.process_ended(Stream::kProcesses, 5, 1000, {});
  EXPECT_TRUE(one.node()->replaced.empty());
  on.hub.disconnect(&one);
  EXPECT_TRUE(on.hub.remove_abandoned_added(1'000'000, [](int32_t) {}));
  EXPECT_TRUE(on.hub.is_empty_for_testing());
}

TEST(Hub, ChangesOfAReusedPidAreRecorded) {
  Fixture on;
  on.hub.track_changes();
  Listener& one = on.listener(Subscription{.only_added = true});
  const auto changes = [&] {
    std::vector<std::string> all;
    on.hub.changed([&](Listener&, bool, std::span<const Node::AddedChange> added) {
      for (const Node::AddedChange& change : added)
        all.push_back((change.added ? "+" : "-") + std::to_string(change.start));
    });
    return all;
  };
  ASSERT_TRUE(on.hub.add(one, 5, 100));
  ASSERT_TRUE(on.hub.add(one, 5, 200));
  EXPECT_THAT(changes(), ElementsAre("+100", "+200"));
  on.hub.process_ended(Stream::kProcesses, 5, 100, {});
  EXPECT_THAT(changes(), ElementsAre("-0", "+200")) << "all are removed, the later one is added";
  ASSERT_TRUE(on.hub.add(one, 5, 300));
  ASSERT_TRUE(on.hub.remove(one, 5));
  EXPECT_THAT(changes(), ElementsAre("+300", "-0", "+200"));
  on.hub.process_ended(Stream::kProcesses, 5, 200, {});
  EXPECT_THAT(changes(), ElementsAre("-0"));
}

TEST(Hub, AddedPidsAreThoseOfTheListenersNamespace) {
  Fixture on;
  Listener& one = on.listener(Scope{.every_user = true, .uid = 0, .ns = 100});
  ASSERT_TRUE(on.hub.subscribe(one, Subscription{.only_added = true}));
  ASSERT_TRUE(on.hub.add(one, 5, 0));
  EXPECT_FALSE(on.hub.is_added(5));
  on.exec(5);
  on.exec(1000, 0, {{.ns = 100, .pid = 5}});
  EXPECT_THAT(on.read(one), ElementsAre("pid 5"));
  on.hub.process_ended(Stream::kProcesses, 5, 0, {});
  on.exec(1000, 0, {{.ns = 100, .pid = 5}});
  EXPECT_THAT(on.read(one), ElementsAre("pid 5"));
  const std::vector<event::NamespacePids> levels{{.ns = 100, .pid = 5}};
  on.hub.process_ended(Stream::kProcesses, 1000, 0, levels);
  on.exec(1000, 0, levels);
  EXPECT_THAT(on.read(one), IsEmpty());
}

TEST(Hub, AddedProcessesStayWhenTheSubscriptionChanges) {
  Fixture on;
  Listener& one = on.listener(Subscription{.only_added = true});
  ASSERT_TRUE(on.hub.add(one, 5, 0));
  ASSERT_TRUE(on.hub.subscribe(one, Subscription{.mask = KNELL_EVENT_EXEC, .only_added = true}));
  on.exec(5);
  on.exec(6);
  EXPECT_THAT(on.read(one), ElementsAre("pid 5"));
  ASSERT_TRUE(on.hub.subscribe(one, Subscription{}));
  EXPECT_TRUE(on.hub.remove_abandoned_added(1'000'000, [](int32_t) {}));
  EXPECT_FALSE(on.hub.is_added(5));
  EXPECT_EQ(on.hub.add(one, 7, 0).error().code, EINVAL);
}

// With a linear search for each of them, a million processes would take a minute.
TEST(Hub, TheCostOfAnAddedProcessIsConstant) {
  Fixture on;
  Listener& one = on.listener(Subscription{.only_added = true});
  for (int32_t pid = 1; pid <= 200'000; ++pid) ASSERT_TRUE(on.hub.add(one, pid, 0));
  on.exec(199'999);
  EXPECT_EQ(on.read(one).size(), 1u);
  on.hub.disconnect(&one);
  EXPECT_TRUE(on.hub.remove_abandoned_added(1'000'000, [](int32_t) {}));
  EXPECT_TRUE(on.hub.is_empty_for_testing());
}

TEST(Hub, InterestsShrinkWhenListenersDisconnect) {
  Fixture on;
  Listener& one = on.listener(Subscription{.mask = KNELL_EVENT_EXEC});
  Listener& same = on.listener(Subscription{.mask = KNELL_EVENT_EXEC});
  EXPECT_EQ(on.hub.interests(Stream::kProcesses).size(), 1u);
  EXPECT_TRUE(on.hub.has_listeners(Stream::kProcesses));
  EXPECT_FALSE(on.hub.has_listeners(Stream::kThreads));
  on.hub.disconnect(&one);
  EXPECT_EQ(on.hub.interests(Stream::kProcesses).size(), 1u);
  on.hub.disconnect(&same);
  EXPECT_THAT(on.hub.interests(Stream::kProcesses), IsEmpty());
}

TEST(Hub, FreshVisitsEachListenerOnceAndKeepsThoseMarkedDuringTheVisit) {
  Fixture on({.queue_bytes = 100 + Queue::kItemBytes});
  on.encoder.padding = 100;
  Listener& one = on.listener(Subscription{});
  on.exec(1);
  on.exec(2);
  EXPECT_THAT(on.fresh(), ElementsAre(&one));
  EXPECT_THAT(on.fresh(), IsEmpty());
  on.exec(3);
  on.hub.fresh([&](Listener&) { FAIL() << "a dropped event is nothing to send"; });
  on.hub.popped(one, 1);  // after this the queue has room for the LOST event
  on.hub.fresh([&](Listener& listener) { on.hub.answer(listener, "while it is visited"); });
  EXPECT_THAT(on.fresh(), ElementsAre(&one));
}

Subscription datagrams(uint32_t mask = KNELL_EVENT_ALL) {
  return {.stream = Stream::kDatagrams, .mask = mask, .details = KNELL_DETAILS_STATUS};
}

TEST(Hub, DatagramsAreTranslatedForNamespacesOrWithheld) {
  Fixture on;
  Listener& all = on.listener(datagrams());
  Listener& some = on.listener(Scope{.every_user = true, .uid = 0, .ns = 100});
  ASSERT_TRUE(on.hub.subscribe(some, datagrams()));
  on.datagram(1);
  on.datagram(2, {{.ns = 100, .pid = 7, .tid = 7}});
  EXPECT_THAT(on.read(all), ElementsAre("datagram 1", "datagram 2"));
  EXPECT_THAT(on.read(some), ElementsAre("datagram 7"));
  on.datagram(3, {{.ns = 100, .pid = 8}});
  on.datagram(4, {{.ns = 100, .tid = 9}});
  EXPECT_THAT(on.read(some), IsEmpty()) << "a number of its process or thread is unknown";
  EXPECT_EQ(on.hub.counters().withheld_level, 2u);
  some.set_overruns(true);
  on.lose(5, KNELL_EVENT_EXEC, Stream::kDatagrams);
  EXPECT_THAT(on.read(some), ElementsAre("overrun 5")) << "a loss concerns every namespace";
}

TEST(Hub, AListenerToDatagramsGetsOverrunsOnlyIfItAskedForThem) {
  Fixture on({.queue_bytes = 40});
  Listener& notified = on.listener(datagrams());
  notified.set_overruns(true);
  Listener& silent = on.listener(datagrams());
  for (int32_t pid = 1; pid <= 4; ++pid) on.datagram(pid);
  EXPECT_THAT(on.read(notified), ElementsAre("datagram 1", "overrun 3"));
  EXPECT_THAT(on.read(silent), ElementsAre("datagram 1"));
  on.datagram(5);
  EXPECT_THAT(on.read(silent), ElementsAre("datagram 5"));
}

// A LOST event would be in the native protocol, which this client does not speak.
TEST(Hub, AnUnsubscribedListenerToDatagramsGetsNoLostEvent) {
  Fixture on({.queue_bytes = 40});
  Listener& one = on.listener(datagrams());
  for (int32_t pid = 1; pid <= 4; ++pid) on.datagram(pid);
  on.hub.unsubscribe(one);
  EXPECT_THAT(on.read(one), ElementsAre("datagram 1"));
  EXPECT_EQ(on.encoder.events, 0u);
}

TEST(Hub, PublishesAcksToUnfilteredListenersExceptTheRequester) {
  Fixture on;
  Listener& requester = on.listener(datagrams());
  Listener& everything = on.listener(datagrams());
  Listener& filtered = on.listener(datagrams(KNELL_EVENT_EXEC));
  Listener& user = on.listener(Scope{.every_user = false, .uid = 7}, 7);
  ASSERT_TRUE(on.hub.subscribe(user, datagrams()));
  Listener& nested = on.listener(Scope{.every_user = true, .uid = 0, .ns = 100});
  ASSERT_TRUE(on.hub.subscribe(nested, datagrams()));
  event::Raw ack;
  PublishedEvent published;
  published.stream = Stream::kDatagrams;
  published.raw = &ack;
  on.hub.publish_ack(published, requester);
  EXPECT_THAT(on.read(everything), ElementsAre("datagram 0"));
  for (Listener* one : {&requester, &filtered, &user, &nested})
    EXPECT_THAT(on.read(*one), IsEmpty());
}

TEST(Hub, LowerLimitsApplyToLaterCalls) {
  Fixture on;
  on.encoder.padding = 100;
  Listener& one = on.listener(Subscription{});
  for (int32_t pid = 1; pid <= 10; ++pid) on.exec(pid);
  Quotas lower;
  lower.queue_bytes = 2 * (100 + Queue::kItemBytes);
  lower.listeners = 1;
  on.hub.set_quotas(lower);
  on.exec(11);
  EXPECT_EQ(one.queue().delivered(), 10u);
  EXPECT_FALSE(on.hub.connect({.uid = 0, .scope = kAll, .since_ns = 0}, nullptr));
  EXPECT_EQ(on.read(one).back(), "lost 1 exact");
}

// A listener that leaves with thousands of added processes must not delay the events of others.
TEST(Hub, RemovesAddedProcessesInPieces) {
  Fixture on;
  Listener& one = on.listener(Subscription{.only_added = true});
  Listener& other = on.listener(Subscription{.only_added = true});
  for (int32_t pid = 1; pid <= 1000; ++pid) ASSERT_TRUE(on.hub.add(one, pid, 0));
  ASSERT_TRUE(on.hub.add(other, 7, 0));
  ASSERT_TRUE(on.hub.subscribe(one, Subscription{}));
  EXPECT_EQ(on.hub.nodes(), 2u);
  on.exec(8);
  EXPECT_THAT(on.read(one), ElementsAre("pid 8")) << "once, by its new subscription";
  std::vector<int32_t> gone;
  const auto note = [&](int32_t pid) { gone.push_back(pid); };
  EXPECT_FALSE(on.hub.remove_abandoned_added(400, note));
  EXPECT_LE(gone.size(), 400u);
  EXPECT_FALSE(on.hub.remove_abandoned_added(400, note));
  EXPECT_TRUE(on.hub.remove_abandoned_added(400, note));
  EXPECT_EQ(gone.size(), 999u) << "the other listener still has 7";
  EXPECT_TRUE(on.hub.is_added(7));
  EXPECT_FALSE(on.hub.is_added(8));
}

TEST(Hub, DropsAQueueInPieces) {
  Fixture on;
  Listener& one = on.listener(Subscription{});
  for (int32_t pid = 1; pid <= 10; ++pid) on.exec(pid);
  on.hub.unsubscribe(one);
  EXPECT_FALSE(on.hub.drop_some(one, 6));
  EXPECT_EQ(one.queue().size(), 4u);
  EXPECT_TRUE(on.hub.drop_some(one, 6));
  EXPECT_EQ(on.hub.bytes(), 0u);
}

// Between begin_change() and commit_change() interests() has both subscriptions.
TEST(Hub, AChangeCanBeUndone) {
  Fixture on;
  Listener& one = on.listener(Subscription{.predicates = {wants(Key::kPid, 1)}}, 1000);
  const auto account = on.hub.users().all().at(1000);
  for (const bool only_added : {false, true}) {
    auto change = on.hub.begin_change(
        one, Subscription{.predicates = {wants(Key::kPid, 2), wants(Key::kPid, 3)},
                          .only_added = only_added});
    ASSERT_TRUE(change);
    EXPECT_EQ(on.hub.interests(Stream::kProcesses).size(), 2u);
    on.hub.undo_change(one, *std::move(change));
    EXPECT_EQ(on.hub.users().all().at(1000), account);
    on.exec(1);
    on.exec(2);
    EXPECT_THAT(on.read(one), ElementsAre("pid 1"));
  }
  ASSERT_TRUE(on.hub.subscribe(one, Subscription{.only_added = true}));
  ASSERT_TRUE(on.hub.add(one, 5, 0));
  auto change =
      on.hub.begin_change(one, Subscription{.mask = KNELL_EVENT_EXIT, .only_added = true});
  ASSERT_TRUE(change);
  on.hub.undo_change(one, *std::move(change));
  on.exec(5);
  EXPECT_THAT(on.read(one), ElementsAre("pid 5"));
  EXPECT_EQ(on.hub.nodes(), 1u);
}

}  // namespace
}  // namespace knell::hub
