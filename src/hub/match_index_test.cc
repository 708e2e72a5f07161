// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Compares the hub with a model that tests every event for every listener by the rule itself.
// Thousands of random filters are added, changed and removed between random events.
#include "hub/match_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "event/visibility.h"
#include "filter/predicate_for_test.h"
#include "hub/event_encoder_for_test.h"
#include "hub/hub.h"

namespace knell::hub {
namespace {

using filter::any_signal;
using filter::codes;
using filter::excludes;
using filter::Key;
using filter::wants;

constexpr std::array<const char*, 5> kComms{"cron", "sshd", "true", "nobody-is-called-so", "a,b"};
constexpr std::array<const char*, 5> kUnits{"cron.service", "cron", "ssh.service", "x.socket",
                                            "cron.service.service"};
constexpr std::array<uint32_t, 10> kTypes{
    KNELL_EVENT_FORK, KNELL_EVENT_EXEC, KNELL_EVENT_UID,  KNELL_EVENT_GID,      KNELL_EVENT_SID,
    KNELL_EVENT_EXIT, KNELL_EVENT_COMM, KNELL_EVENT_EXIT, KNELL_EVENT_COREDUMP, KNELL_EVENT_PTRACE};

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}
  uint32_t below(uint32_t n) { return std::uniform_int_distribution<uint32_t>(0, n - 1)(engine_); }
  bool one_in(uint32_t n) { return below(n) == 0; }
  template <class T, size_t N>
  T of(const std::array<T, N>& all) {
    return all[below(static_cast<uint32_t>(N))];
  }

 private:
  std::mt19937 engine_;
};

Scope random_scope(Dice& dice) {
  Scope scope;
  scope.every_user = !dice.one_in(3);
  scope.uid = dice.below(4);
  scope.ns = dice.one_in(3) ? 100 * (1 + dice.below(3)) : 0;
  return scope;
}

void add_some(Dice& dice, Subscription& asked, Key key, const auto& value) {
  for (uint32_t left = 1 + dice.below(3); left > 0; --left)
    asked.predicates.push_back(wants(key, value()));
}

Subscription random_subscription(Dice& dice) {
  Subscription asked;
  asked.stream = dice.one_in(8) ? Stream::kThreads : Stream::kProcesses;
  asked.mask = dice.one_in(4) ? KNELL_EVENT_ALL : 0;
  for (uint32_t left = 1 + dice.below(3); left > 0; --left) asked.mask |= dice.of(kTypes);
  if (dice.one_in(3)) asked.mask |= KNELL_EVENT_NONZERO_EXIT;
  asked.rule = dice.one_in(4) ? filter::Rule::kV6 : filter::Rule::kReleased;
  asked.details = dice.below(3);
  asked.only_added = dice.one_in(6);
  const auto number = [&](uint32_t most) { return [&dice, most] { return 1 + dice.below(most); }; };
  auto& all = asked.predicates;
  if (dice.one_in(4)) add_some(dice, asked, Key::kPid, number(12));
  if (dice.one_in(4)) add_some(dice, asked, Key::kUid, number(4));
  if (dice.one_in(8)) all.push_back(excludes(wants(Key::kUid, 2)));
  if (dice.one_in(4)) add_some(dice, asked, Key::kComm, [&] { return dice.of(kComms); });
  if (dice.one_in(4)) add_some(dice, asked, Key::kUnit, [&] { return dice.of(kUnits); });
  if (dice.one_in(8)) all.push_back(wants(Key::kUnit, "cr*"));
  if (dice.one_in(8)) all.push_back(excludes(wants(Key::kComm, "cron")));
  if (dice.one_in(6)) {
    if (dice.one_in(2))
      all.push_back(wants(codes(0, 0)));
    else
      all.insert(all.end(), {wants(codes(1, 255)), wants(any_signal())});
  }
  return asked;
}

knell_string text(const char* words) {
  return words == nullptr ? knell_string{} : knell_string{words, std::string_view(words).size()};
}

// An event with its levels and the PublishedEvent that refers to both.
struct TestEvent {
  knell_event event{};
  std::vector<event::NamespacePids> levels;
  PublishedEvent published;
};

void make(Dice& dice, TestEvent& made) {
  knell_event& event = made.event;
  event.size = sizeof event;
  event.type = dice.of(kTypes);
  event.pid = event.tid = event.id.pid = static_cast<int32_t>(1 + dice.below(12));
  if (!dice.one_in(4)) {
    event.has |= KNELL_HAS_UID;
    event.uid = dice.below(5);
  }
  if (event.type == KNELL_EVENT_EXIT && !dice.one_in(5)) {
    event.has |= KNELL_HAS_STATUS;
    event.wait_status = dice.one_in(2) ? 0 : dice.one_in(2) ? 256 : 9;
  }
  if (!dice.one_in(3)) event.comm = text(dice.of(kComms));
  if (!dice.one_in(3)) event.unit = text(dice.of(kUnits));
  if (dice.one_in(4)) event.cgroup = text("/a");
  if (event.type == KNELL_EVENT_EXIT && dice.one_in(3)) event.flags = KNELL_FLAG_DETAILS_LOST;
  for (uint32_t ns = 100; ns <= 300; ns += 100)
    if (dice.one_in(3))
      made.levels.push_back({.ns = ns, .pid = static_cast<int32_t>(1 + dice.below(12))});
  PublishedEvent& published = made.published;
  published.stream = dice.one_in(8) ? Stream::kThreads : Stream::kProcesses;
  published.type = event.type;
  published.zero = event.type == KNELL_EVENT_EXIT && (event.has & KNELL_HAS_STATUS) != 0 &&
                   event.wait_status == 0;
  published.pid = event.pid;
  published.uid_known = (event.has & KNELL_HAS_UID) != 0;
  published.uid = event.uid;
  published.levels_known = !dice.one_in(8);
  published.levels = made.levels;
  published.event = &event;
}

// A listener, and the state from which the model computes which events it must receive.
struct Known {
  Listener* listener = nullptr;
  Scope scope;
  std::optional<Subscription> asked;
  std::map<int32_t, uint64_t> added;
  uint64_t expected = 0;
};

bool wants(const Known& known, const TestEvent& test_event) {
  if (!known.asked || known.asked->stream != test_event.published.stream) return false;
  knell_event event = test_event.event;
  if (!known.scope.every_user &&
      (!test_event.published.uid_known || test_event.published.uid != known.scope.uid))
    return false;
  if (known.scope.ns != 0) {
    const auto level =
        std::ranges::find(test_event.levels, known.scope.ns, &event::NamespacePids::ns);
    if (level == test_event.levels.end()) return false;
    event = event::translate(event, *level);
  }
  if (!filter::passes(known.asked->rule, known.asked->mask, event)) return false;
  if (known.asked->only_added && !known.added.contains(event.pid)) return false;
  return filter::Predicates::create(known.asked->predicates)->matches(event, NoAncestry());
}

std::string describe(const Known& known, const TestEvent& test_event) {
  std::string words = "type " + std::to_string(test_event.event.type) + " pid " +
                      std::to_string(test_event.event.pid) + " uid " +
                      std::to_string(test_event.event.uid) + "; scope uid " +
                      std::to_string(known.scope.uid) + " ns " + std::to_string(known.scope.ns);
  if (!known.asked) return words;
  words += " mask " + std::to_string(known.asked->mask);
  return words + ' ' + filter::text_of(known.asked->predicates, 1000);
}

class Simulation {
 public:
  explicit Simulation(uint32_t seed) : dice_(seed) {}

  void play(int turns) {
    for (int turn = 0; turn < turns && !::testing::Test::HasFailure(); ++turn) {
      if (known_.size() < 40 || dice_.one_in(4)) connect_one();
      change();
      for (int i = 0; i < 8; ++i) publish_one();
      if (known_.size() > 120) disconnect_one();
    }
    while (!known_.empty()) disconnect_one();
    EXPECT_EQ(hub_.nodes(), 0u);
    EXPECT_EQ(hub_.bytes(), 0u);
    EXPECT_TRUE(hub_.users().all().empty());
    EXPECT_TRUE(hub_.remove_abandoned_added(1'000'000, [](int32_t) {}));
    EXPECT_TRUE(hub_.is_empty_for_testing());
  }

 private:
  void connect_one() {
    Known known;
    known.scope = random_scope(dice_);
    const auto made = hub_.connect({.uid = 0, .scope = known.scope, .since_ns = 0}, nullptr);
    ASSERT_TRUE(made);
    known.listener = *made;
    known_.push_back(known);
  }

  void change() {
    Known& known = known_[dice_.below(static_cast<uint32_t>(known_.size()))];
    if (known.asked && dice_.one_in(6)) {
      hub_.unsubscribe(*known.listener);
      known.asked.reset();
      known.added.clear();
      return;
    }
    const Subscription asked = random_subscription(dice_);
    ASSERT_TRUE(hub_.subscribe(*known.listener, asked));
    if (!known.asked || !known.asked->only_added || !asked.only_added) known.added.clear();
    known.asked = asked;
    if (!asked.only_added) return;
    for (int32_t pid = 1; pid <= 12; ++pid) {
      if (dice_.one_in(3)) add(known, pid);
      if (dice_.one_in(8)) remove(known, pid);
    }
  }
  void add(Known& known, int32_t pid) {
    EXPECT_EQ(hub_.add(*known.listener, pid, 0).has_value(), known.added.emplace(pid, 0).second);
  }
  void remove(Known& known, int32_t pid) {
    EXPECT_EQ(hub_.remove(*known.listener, pid).has_value(), known.added.erase(pid) == 1);
  }

  void publish_one() {
    TestEvent test_event;
    make(dice_, test_event);
    hub_.publish(test_event.published, NoAncestry());
    for (Known& known : known_) {
      if (wants(known, test_event)) ++known.expected;
      ASSERT_EQ(known.listener->queue().delivered(), known.expected) << describe(known, test_event);
    }
    if (test_event.event.type != KNELL_EVENT_EXIT) return;
    hub_.process_ended(test_event.published.stream, test_event.event.pid, 0, test_event.levels);
    for (Known& known : known_)
      if (known.asked && known.asked->stream == test_event.published.stream)
        forget(known, test_event);
  }
  static void forget(Known& known, const TestEvent& test_event) {
    if (known.scope.ns == 0) {
      known.added.erase(test_event.event.pid);
      return;
    }
    for (const event::NamespacePids& level : test_event.levels)
      if (level.ns == known.scope.ns) known.added.erase(level.pid);
  }

  void disconnect_one() {
    const size_t at = dice_.below(static_cast<uint32_t>(known_.size()));
    hub_.disconnect(known_[at].listener);
    known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  Dice dice_;
  FakeEventEncoder encoder_;
  Hub hub_{encoder_, Quotas{}};
  std::vector<Known> known_;
};

TEST(MatchIndex, DeliversOnceExactlyTheEventsThatPassTheRule) {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation(seed).play(400);
  }
}

Node node_of(const Subscription& asked, const Scope& scope) {
  Node node;
  node.filter = *Filter::create(asked, scope);
  return node;
}

TEST(MatchIndex, VisitsOnlyNodesThatMayWantTheEvent) {
  MatchIndex index;
  Subscription asked;
  std::vector<Node> nodes;
  for (int i = 0; i < 100; ++i) {
    asked.predicates = {wants(Key::kPid, 1000 + i)};
    nodes.push_back(node_of(asked, {.every_user = true}));
  }
  for (Node& node : nodes) index.insert(&node);
  knell_event event{};
  PublishedEvent published;
  published.type = event.type = KNELL_EVENT_EXEC;
  published.pid = event.pid = 1042;
  published.event = &event;
  std::vector<Node*> met;
  index.match(published, [&](Node* node, const event::NamespacePids*) { met.push_back(node); });
  EXPECT_EQ(met, std::vector<Node*>{&nodes[42]});
  for (Node& node : nodes) index.erase(&node);
  EXPECT_TRUE(index.empty());
}

TEST(MatchIndex, LostDetailsVisitEachNodeWithAPredicateAboutThemOnce) {
  MatchIndex index;
  std::vector<Node> nodes;
  const auto add = [&](std::vector<filter::Predicate> predicates, const Scope& scope) {
    Subscription asked;
    asked.predicates = std::move(predicates);
    nodes.push_back(node_of(asked, scope));
  };
  const Scope all{.every_user = true};
  nodes.reserve(6);
  add({wants(Key::kComm, "cron"), wants(Key::kComm, "sshd"), wants(Key::kComm, "true")}, all);
  add({wants(Key::kUnit, "cron"), wants(Key::kUnit, "ssh")}, all);
  add({wants(Key::kUid, 1), wants(Key::kUid, 2)}, all);
  add({wants(Key::kComm, "cron")}, {.every_user = false, .uid = 7});
  add({wants(Key::kComm, "cron"), wants(Key::kPid, 7)}, all);
  for (Node& node : nodes) index.insert(&node);
  knell_event event{};
  event.flags = KNELL_FLAG_DETAILS_LOST;
  PublishedEvent published;
  published.type = event.type = KNELL_EVENT_EXIT;
  published.pid = event.pid = 42;
  published.event = &event;
  const auto met = [&] {
    std::vector<Node*> seen;
    index.match(published, [&](Node* node, const event::NamespacePids*) { seen.push_back(node); });
    std::ranges::sort(seen);
    return seen;
  };
  EXPECT_EQ(met(), (std::vector<Node*>{&nodes[0], &nodes[1], &nodes[2]}));
  EXPECT_TRUE(index.unknown().uid) << "withheld from the listener that may see one user only";
  event.comm = text("true");
  published.uid_known = true;
  published.uid = 7;
  EXPECT_EQ(met(), (std::vector<Node*>{&nodes[0], &nodes[1], &nodes[3]}));
  event.flags = 0;
  EXPECT_EQ(met(), (std::vector<Node*>{&nodes[0], &nodes[3]}));
  for (Node& node : nodes) index.erase(&node);
  EXPECT_TRUE(index.empty());
}

TEST(MatchIndex, ReportsAnUnknownUidOrNamespace) {
  MatchIndex index;
  Node of_user = node_of({}, {.every_user = false, .uid = 7});
  Node of_namespace = node_of({}, {.every_user = true, .uid = 0, .ns = 9});
  index.insert(&of_user);
  index.insert(&of_namespace);
  knell_event event{};
  PublishedEvent published;
  published.type = event.type = KNELL_EVENT_EXIT;
  published.event = &event;
  const auto fail = [](Node*, const event::NamespacePids*) { FAIL(); };
  index.match(published, fail);
  EXPECT_TRUE(index.unknown().uid);
  EXPECT_TRUE(index.unknown().levels);
  published.uid_known = published.levels_known = true;
  index.match(published, fail);
  EXPECT_FALSE(index.unknown().uid);
  EXPECT_FALSE(index.unknown().levels);
}

}  // namespace
}  // namespace knell::hub
