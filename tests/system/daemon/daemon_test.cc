// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What each listener of a real knelld receives of real processes: the events it asked for and may
// see.
#include "support/daemon.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "support/child.h"
#include "support/needs.h"
#include "support/nested.h"
#include "support/stage.h"
#include "wire_listener.h"

namespace knell::test {
namespace {

using filter::codes;
using filter::excludes;
using filter::Key;
using filter::wants;

class Knelld : public testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    daemon_ = std::make_unique<Daemon>();
    daemon_->configure(config());
    ASSERT_TRUE(daemon_->start());
    all_ = std::make_unique<WireListener>(daemon_->socket(), lives());
  }
  // KNELL_TEST_SOURCE: the source that the daemon must use.
  virtual std::string config() const {
    const char* source = std::getenv("KNELL_TEST_SOURCE");
    return source == nullptr ? "" : "source = \"" + std::string(source) + "\"\n";
  }
  const std::string& socket() const { return daemon_->socket(); }
  // Waits until all events up to now are in the queues of the listeners that want them.
  void settle() { ASSERT_TRUE(all_->take_life(sentinel())); }

  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<WireListener> all_;
};

struct Wish {
  uint32_t mask;
  std::vector<filter::Predicate> predicates;
  std::function<bool(const Life&, uint32_t type)> wants;
  filter::Rule rule = filter::Rule::kReleased;
};

std::vector<Wish> twenty_wishes() {
  constexpr uint32_t kFork = KNELL_EVENT_FORK, kExec = KNELL_EVENT_EXEC, kExit = KNELL_EVENT_EXIT,
                     kNonzero = KNELL_EVENT_NONZERO_EXIT;
  std::vector<Wish> all;
  for (const uint32_t mask : std::initializer_list<uint32_t>{
           kFork, kExec, kExit, kNonzero, kFork | kExec, kFork | kExit, kExec | kExit,
           kFork | kExec | kExit, KNELL_EVENT_ALL & ~KNELL_EVENT_COMM, kFork | kNonzero,
           kExec | kNonzero, kExit | kNonzero})
    all.push_back({mask, {}, [mask](const Life& life, uint32_t type) {
                     return (mask & type) != 0 ||
                            (type == kExit && life.status != 0 && (mask & kNonzero) != 0);
                   }});
  const auto exits = [&](std::vector<filter::Predicate> predicates,
                         std::function<bool(int)> wants) {
    all.push_back({KNELL_EVENT_ALL & ~KNELL_EVENT_COMM, std::move(predicates),
                   [wants](const Life& life, uint32_t type) {
                     return type == kExit && wants(life.status >> 8);
                   }});
  };
  exits({wants(codes(0, 0))}, [](int code) { return code == 0; });
  exits({wants(codes(1, 3))}, [](int code) { return code >= 1 && code <= 3; });
  exits({excludes(wants(codes(0, 0))), excludes(wants(codes(4, 4)))},
        [](int code) { return code != 0 && code != 4; });
  exits({wants(Key::kLonger, 3'600'000'000'000)}, [](int) { return false; });
  const auto program = [](const char* name, int code, uint32_t mask) {
    return Wish{mask, {wants(Key::kComm, name)}, [code, mask](const Life& life, uint32_t type) {
                  return (mask & type) != 0 && type != kFork && life.executed &&
                         life.status == code << 8;
                }};
  };
  // Over the connector the names of such short-lived processes are mostly unknown.
  if (std::getenv("KNELL_TEST_SOURCE") == nullptr) {
    all.push_back(program("true", 0, kExec));
    all.push_back(program("false", 1, kExec | kExit | kFork));
  }
  all.push_back(
      {kFork | kExec | kExit, {wants(Key::kUid, 0)}, [](const Life&, uint32_t) { return true; }});
  all.push_back({kExit | kNonzero,
                 {},
                 [](const Life& life, uint32_t type) { return type == kExit && life.status != 0; },
                 filter::Rule::kV6});
  return all;
}

TEST_F(Knelld, TwentyListenersReceiveExactlyWhatEachAskedFor) {
  const std::vector<Wish> wishes = twenty_wishes();
  ASSERT_GE(wishes.size(), 18u);
  std::vector<std::unique_ptr<WireListener>> listeners;
  for (const Wish& wish : wishes) {
    filter::Subscription asked = lives(wish.mask);
    asked.predicates.insert(asked.predicates.end(), wish.predicates.begin(), wish.predicates.end());
    asked.rule = wish.rule;
    listeners.push_back(std::make_unique<WireListener>(socket(), asked));
  }
  const std::vector<Life> all = live_and_die(300);
  settle();
  EXPECT_EQ(all_->keys_of(all), keys_of(all));
  for (size_t i = 0; i < wishes.size(); ++i) {
    Keys wanted;
    for (const auto& [key, count] : keys_of(all)) {
      const auto& [pid, type, status] = key;
      const auto life = std::ranges::find(all, pid, &Life::pid);
      if (wishes[i].wants(*life, type)) wanted[key] = count;
    }
    ASSERT_TRUE(listeners[i]->take_all());
    EXPECT_EQ(listeners[i]->keys_of(all), wanted) << "listener " << i;
    EXPECT_EQ(listeners[i]->lost(), 0u);
  }
}

TEST_F(Knelld, AChangedSubscriptionLosesNothingThatBothWant) {
  WireListener one(socket(), lives(KNELL_EVENT_EXIT));
  std::vector<Life> all;
  for (int i = 0; i < 20; ++i) {
    const auto some = live_and_die(10);
    all.insert(all.end(), some.begin(), some.end());
    ASSERT_TRUE(one.subscribe(lives(i % 2 == 0 ? kLives : KNELL_EVENT_EXIT)));
  }
  settle();
  ASSERT_TRUE(one.take_all());
  size_t exits = 0;
  for (const auto& [key, count] : one.keys_of(all))
    if (std::get<1>(key) == KNELL_EVENT_EXIT) exits += static_cast<size_t>(count);
  EXPECT_EQ(exits, all.size());
}

// A process of the user `uid`, with children; it sends their pids through a pipe.
struct Family {
  pid_t parent = 0;
  std::vector<pid_t> children;
};
Family family_of(uid_t uid, int count) {
  const Pipe pids = make_pipe();
  Child parent = Child::fork([&] {
    if (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0) return 1;
    for (int i = 0; i < count; ++i) {
      const pid_t pid = fork_running([i] { return i % 5; });
      reap(pid);
      if (::write(pids.write.get(), &pid, sizeof pid) != sizeof pid) return 2;
    }
    return 0;
  });
  Family made{.parent = parent.pid(), .children = {}};
  EXPECT_EQ(parent.wait(), 0);
  for (int i = 0; i < count; ++i) {
    pid_t pid = 0;
    EXPECT_EQ(::read(pids.read.get(), &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
    made.children.push_back(pid);
  }
  return made;
}

TEST_F(Knelld, UserReceivesItsOwnProcessesAndNoOthers) {
  std::unique_ptr<WireListener> user;
  {
    const AsUser nobody(kNobody);
    user = std::make_unique<WireListener>(socket(), lives(kLives, KNELL_DETAILS_NAMES));
  }
  const std::vector<Life> roots = live_and_die(50);
  const Family own = family_of(kNobody, 50);
  const Family others = family_of(kNobody - 1, 20);
  settle();
  ASSERT_TRUE(user->take_all());
  EXPECT_TRUE(user->keys_of(roots).empty());
  EXPECT_TRUE(user->keys_of(others.children).empty());
  EXPECT_EQ(user->keys_of(own.children), all_->keys_of(own.children));
  EXPECT_EQ(user->keys_of(own.children).size(), 100u);
  for (const ReceivedEvent& received : user->received())
    EXPECT_EQ(received.uid, kNobody) << received.pid;
}

class KnelldWithAGroup : public Knelld {
 protected:
  std::string config() const override {
    return Knelld::config() + "[visibility]\nsee_all_groups = [\"daemon\"]\n";
  }
};

TEST_F(KnelldWithAGroup, ItsMembersSeeEverything) {
  std::unique_ptr<WireListener> member, stranger;
  {
    const AsUser nobody(kNobody, 1);
    member = std::make_unique<WireListener>(socket(), lives());
  }
  {
    const AsUser nobody(kNobody);
    stranger = std::make_unique<WireListener>(socket(), lives());
  }
  const std::vector<Life> roots = live_and_die(30);
  settle();
  ASSERT_TRUE(member->take_all());
  ASSERT_TRUE(stranger->take_all());
  EXPECT_EQ(member->keys_of(roots), keys_of(roots));
  EXPECT_TRUE(stranger->keys_of(roots).empty());
}

// Runs in a pid namespace of its own: compares the events it receives with the processes it made.
// The result is an exit status that says which check failed.
int listen_inside(const std::string& socket, int ready_fd, int go_on) {
  filter::Subscription asked = lives();
  asked.predicates.clear();
  WireListener inside(socket, asked);
  {
    WireListener under(socket, lives());  // the pid of the root differs in the daemon's namespace
    const auto status = under.connection().status();
    if (!status || status->find("\"predicates\":") == std::string::npos) return 17;
    if (status->find("under=") != std::string::npos) return 18;
  }
  const char ready = 'r';
  if (::write(ready_fd, &ready, 1) != 1) return 10;
  char word = 0;
  if (::read(go_on, &word, 1) != 1) return 11;
  const std::vector<Life> own = live_and_die(30);
  if (!inside.take_life(sentinel())) return 12;
  if (inside.keys_of(own) != keys_of(own)) return 13;
  int from_outside = 0;
  for (const ReceivedEvent& received : inside.received()) {
    if (received.pid <= 1 || received.pid > 1000) return 14;  // not a pid of this namespace
    if (received.ppid != 0 && received.ppid != ::getpid()) return 15;
    if (received.type == KNELL_EVENT_EXIT && received.ppid == 0) ++from_outside;
  }
  return from_outside == 1 ? 0 : 16;
}

TEST_F(Knelld, PidNamespaceReceivesItsOwnProcessesByItsOwnPids) {
  KNELL_NEEDS(lacks_pid_namespaces());
  Pipe ready = make_pipe(), number = make_pipe();
  const Pipe go_on = make_pipe();
  pid_t first = 0;
  Child outside = Child::fork([&] {
    if (::unshare(CLONE_NEWPID) != 0) return 20;
    first = fork_running([&] {
      return listen_inside(socket(), ready.write.get(), go_on.read.get()) +
             (testing::Test::HasFailure() ? 100 : 0);
    });
    if (::write(number.write.get(), &first, sizeof first) != sizeof first) return 21;
    return reap(first) >> 8;
  });
  ready.write.reset();  // so that a failure inside the namespace ends the reads here
  number.write.reset();
  ASSERT_EQ(::read(number.read.get(), &first, sizeof first), static_cast<ssize_t>(sizeof first));
  char word = 0;
  if (::read(ready.read.get(), &word, 1) != 1) FAIL() << "inside: " << outside.wait().value_or(-1);
  // Processes outside the namespace: its listener must receive none of their events.
  const std::vector<Life> foreign = live_and_die(30);
  Inside guest(first, [] { return 3; });  // its parent is outside the namespace
  EXPECT_EQ(guest.wait(), 3 << 8);
  ASSERT_EQ(::write(go_on.write.get(), "g", 1), 1);
  EXPECT_EQ(outside.wait(), 0);
  settle();
  EXPECT_EQ(all_->keys_of(foreign), keys_of(foreign));
}

TEST_F(Knelld, NoByteOfASecretLeavesIt) {
  WireListener one(socket(), lives(kLives, KNELL_DETAILS_FULL));
  one.keep_bytes();
  const Pipe never = make_pipe();
  Child child = Child::spawn({"sh", "-c", "read line", "--password=hunter2",
                              "postgres://a:hunter2@h", "--password", "hunter2", "--verbose"},
                             {.in = never.read.get(), .out = -1, .err = -1});
  const pid_t pid = child.pid();
  const auto has_received = [&](uint32_t type) {
    return one.take_until([&] {
      return std::ranges::any_of(one.received(), [&](const ReceivedEvent& event) {
        return event.pid == pid && event.type == type;
      });
    });
  };
  ASSERT_TRUE(
      has_received(KNELL_EVENT_EXEC));  // the child is alive, so its arguments could be read
  child.kill();
  ASSERT_TRUE(child.wait());
  ASSERT_TRUE(has_received(KNELL_EVENT_EXIT));
  const auto status = one.connection().status();
  ASSERT_TRUE(status);
  EXPECT_NE(one.bytes().find("--password="), std::string::npos) << "the arguments were not sent";
  EXPECT_NE(one.bytes().find("--verbose"), std::string::npos);
  EXPECT_EQ(one.bytes().find("hunter2"), std::string::npos);
  EXPECT_EQ(status->find("hunter2"), std::string::npos);
}

TEST_F(Knelld, ServesAgainAfterItWasKilled) {
  WireListener one(socket(), lives());
  daemon_->kill();
  EXPECT_FALSE(one.take_until([] { return false; }));
  ASSERT_TRUE(one.over());
  EXPECT_EQ(one.over()->code, ECONNRESET);
  ASSERT_TRUE(daemon_->start());
  WireListener again(socket(), lives());
  EXPECT_TRUE(again.take_life(sentinel()));
}

}  // namespace
}  // namespace knell::test
