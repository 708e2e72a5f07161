// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A thousand listeners, a hundred of them hostile, and 200,000 processes: each of the other 900
// must receive exactly the expected number of events, which is computed, and the daemon's memory
// must stay below the limit in docs/memory.md.
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

#include "support/child.h"
#include "support/daemon.h"
#include "support/needs.h"
#include "support/stage.h"
#include "wire_listener.h"

namespace knell::test {
namespace {

using filter::Key;
using filter::wants;

constexpr uid_t kUser = 64321;  // a uid that no other process has
constexpr int kCodes = 200;     // exit codes are 1 to kCodes, each equally frequent
constexpr int kRounds = 25, kOfRoot = 6000, kOfUser = 2000;  // processes a round
static_assert(kRounds * (kOfRoot + kOfUser) == 200'000);
constexpr size_t kMostMemory = size_t{320} << 20;  // docs/memory.md

void raise_descriptor_limit() {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

// Makes a given number of processes for each byte it is sent.
class Storm {
 public:
  Storm(uid_t uid, int a_round)
      : child_(Child::fork([this, uid, a_round] {
          go_.write.reset();
          if (uid != 0 && (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0))
            return 1;
          char word = 0;
          while (::read(go_.read.get(), &word, 1) == 1 && word == 'g')
            for (int code = 1; code <= kCodes; ++code) storm(a_round / kCodes, 1, code);
          return 0;
        })) {}
  void go() { ASSERT_EQ(::write(go_.write.get(), "g", 1), 1); }
  void end() {
    ASSERT_EQ(::write(go_.write.get(), "e", 1), 1);
    EXPECT_EQ(child_.wait(), 0);
  }
  pid_t pid() const { return child_.pid(); }

 private:
  Pipe go_ = make_pipe();
  Child child_;
};

// One of the 900 well-behaved listeners.
struct Good {
  std::unique_ptr<WireListener> listener;
  // The number of events that it must receive in a round, and at the end
  size_t a_round = 0, at_the_end = 0;
};

filter::Predicate ended(int first, int last = 0) {
  return wants(
      filter::codes(static_cast<uint16_t>(first), static_cast<uint16_t>(last == 0 ? first : last)));
}

filter::Subscription exits(std::vector<filter::Predicate> predicates) {
  filter::Subscription asked;
  asked.mask = KNELL_EVENT_EXIT;
  asked.details = KNELL_DETAILS_STATUS;
  asked.predicates = std::move(predicates);
  return asked;
}

// Runs the hostile clients until this process is killed.
int torment(const std::string& socket) {
  std::vector<std::unique_ptr<WireListener>> silent, floods;
  const auto come = [&](int count, auto& all) {
    for (int i = 0; i < count; ++i) {
      filter::Subscription everything = exits({});
      everything.mask = KNELL_EVENT_ALL;
      everything.details = static_cast<uint32_t>(i % 3);
      all.push_back(std::make_unique<WireListener>(socket, everything));
    }
  };
  come(40, silent);
  come(20, floods);
  const AsUser user(kUser);
  come(20, silent);
  come(10, floods);
  const wire::AddedProcess nobody{.pid = 1, .reserved = 0, .start = 0};
  for (uint32_t turn = 0;; ++turn) {
    filter::Subscription other = exits({wants(Key::kPid, 1 + turn % 1000)});
    const std::string packets[] = {*wire::encode(other, turn), wire::encode_status_request(turn),
                                   wire::encode(wire::Message::kAdd, std::span(&nobody, 1), turn)};
    for (auto& one : floods) (void)one->connection().try_send(packets[turn % 3]);
    // Ten more clients connect, send nonsense or ask for all events, and disconnect.
    for (int i = 0; i < 10; ++i) {
      auto one = client::ConnectionToServer::connect(socket, std::chrono::milliseconds(0));
      if (!one) continue;
      (void)one->try_send(i % 2 == 0 ? "nonsense" : packets[0]);
    }
    ::usleep(1000);
  }
}

size_t most_memory(pid_t pid) {
  for (const std::string& line : lines_of("/proc/" + std::to_string(pid) + "/status"))
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
  return 0;
}

class Crowd : public testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    KNELL_NEEDS(not_in_vm());
    raise_descriptor_limit();
    ASSERT_TRUE(daemon_.start());
    epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  }

  void come(const filter::Subscription& asked, size_t a_round, size_t at_the_end = 0) {
    Good good{std::make_unique<WireListener>(daemon_.socket(), asked), a_round, at_the_end};
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = all_.size();
    ASSERT_EQ(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, good.listener->connection().fd(), &event),
              0);
    all_.push_back(std::move(good));
  }
  // Connects the 900 listeners. A round has kOfRoot / kCodes exits of root and kOfUser / kCodes of
  // the user with each exit code.
  void all_come(pid_t root, pid_t user) {
    constexpr size_t kBoth = (kOfRoot + kOfUser) / kCodes, kUsers = kOfUser / kCodes;
    const filter::Predicate ours = wants(Key::kUnder, ::getpid());
    for (int i = 0; i < 600; ++i) come(exits({ours, ended(1 + i % kCodes)}), kBoth);
    for (int i = 1; i <= 150; ++i) come(exits({ours, ended(i, i + 1)}), 2 * kBoth);
    for (int i = 0; i < 50; ++i) come(exits({wants(Key::kUid, kUser), ended(7)}), kUsers);
    for (int i = 0; i < 50; ++i)
      // These match processes of this test only: after one has ended, another process may reuse its
      // pid.
      come(exits({ours, wants(Key::kPid, i % 2 == 0 ? root : user)}), 0, 1);
    const AsUser is_user(kUser);
    for (int i = 1; i <= 50; ++i) come(exits({ended(i)}), kUsers);
  }
  // Reads until all listeners together have received `wanted` events.
  bool read_until(size_t wanted) {
    for (const Deadline deadline; received() < wanted;) {
      epoll_event events[64];
      const int n = ::epoll_wait(epoll_.get(), events, 64, deadline.left_ms());
      if (n <= 0) return false;
      for (int i = 0; i < n; ++i) {
        if (!all_[events[i].data.u64].listener->take()) return false;
      }
    }
    return true;
  }
  size_t received() const {
    size_t count = 0;
    for (const Good& good : all_) count += good.listener->received().size();
    return count;
  }

  Daemon daemon_;
  UniqueFd epoll_;
  std::vector<Good> all_;
};

TEST_F(Crowd, NineHundredListenersAreExactBesideAHundredHostileOnes) {
  Storm root(0, kOfRoot), user(kUser, kOfUser);
  all_come(root.pid(), user.pid());
  ASSERT_EQ(all_.size(), 900u);
  const Child tormentor = Child::fork([&] { return torment(daemon_.socket()); });

  size_t a_round = 0, at_the_end = 0;
  for (const Good& good : all_) a_round += good.a_round, at_the_end += good.at_the_end;
  for (size_t round = 1; round <= kRounds; ++round) {
    root.go();
    user.go();
    ASSERT_TRUE(read_until(round * a_round)) << "round " << round << ": " << received();
  }
  root.end();
  user.end();
  ASSERT_TRUE(read_until(kRounds * a_round + at_the_end)) << received();
  (void)sentinel();
  for (const Good& good : all_) {
    EXPECT_TRUE(good.listener->take_all());
    ASSERT_EQ(good.listener->received().size(), kRounds * good.a_round + good.at_the_end);
    EXPECT_EQ(good.listener->lost(), 0u);
  }
  const size_t memory = most_memory(daemon_.pid());
  RecordProperty("daemon_bytes", std::to_string(memory));
  EXPECT_GT(memory, 0u);
  EXPECT_LT(memory, kMostMemory);
}

}  // namespace
}  // namespace knell::test
