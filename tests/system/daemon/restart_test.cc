// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knelld is killed and restarted by its supervisor, while processes start and end. The clients keep
// their connections, and each event reaches them exactly once.
#include <gtest/gtest.h>
#include <knell/cn_proc.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "event/cn_message.h"
#include "support/child.h"
#include "support/daemon.h"
#include "support/needs.h"
#include "support/recorder.h"
#include "wire_listener.h"

namespace knell::test {
namespace {

class Restart : public testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    KNELL_NEEDS(lacks_bpf());
    // On a busy machine other processes make many events, which must not overflow a queue.
    daemon_.configure("[limits]\nqueue = \"64M\"\nmemory_per_user = \"256M\"\nmemory = \"256M\"\n");
    ASSERT_TRUE(daemon_.start_supervised());
  }
  bool said(const std::string& text) const { return daemon_.log().find(text) != std::string::npos; }

  Daemon daemon_;
};

// An unmodified client of the connector, which wants all events. It checks the sequence numbers of
// each CPU: a gap would be a loss.
class CompatClient {
 public:
  explicit CompatClient(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    struct {
      nlmsghdr header;
      knell_cn_msg message;
      uint32_t op;
    } __attribute__((packed)) request{};
    request.header = {.nlmsg_len = sizeof request,
                      .nlmsg_type = NLMSG_DONE,
                      .nlmsg_flags = 0,
                      .nlmsg_seq = 0,
                      .nlmsg_pid = 0};
    request.message.idx = KNELL_CN_IDX_PROC;
    request.message.val = KNELL_CN_VAL_PROC;
    request.message.len = sizeof request.op;
    request.op = KNELL_MCAST_LISTEN;
    EXPECT_EQ(::send(socket_.get(), &request, sizeof request, 0), ssize_t{sizeof request});
  }

  // Reads the packets that have arrived, and waits up to `wait_ms` for one; false: there was none.
  bool take(int wait_ms = 0) {
    pollfd input{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&input, 1, wait_ms) <= 0) return false;
    std::array<std::byte, 256> bytes;
    ssize_t n = 0;
    while ((n = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT)) > 0) {
      const auto raw = event::decode(std::span(bytes).first(static_cast<size_t>(n)));
      if (!raw) {
        ADD_FAILURE() << "a datagram of " << n << " bytes";
        continue;
      }
      const auto [next, first] = next_.try_emplace(raw->cpu, raw->seq);
      if (!first && next->second != raw->seq) ++gaps_;
      next->second = raw->seq + 1;
      if (raw->what != KNELL_EVENT_NONE) take_event(*raw);
    }
    EXPECT_NE(n, 0) << "the connection is closed";
    return true;
  }
  // The number of births and deaths of children of this process, by pid.
  using Counts = std::map<pid_t, std::pair<int, int>>;
  const Counts& counts() const { return counts_; }
  int gaps() const { return gaps_; }

 private:
  void take_event(const event::Raw& raw) {
    if (raw.pid != raw.tid) return;
    if (raw.what == KNELL_EVENT_FORK && raw.u.fork.parent_pid == self_) ++counts_[raw.pid].first;
    if (raw.what != KNELL_EVENT_EXIT) return;
    // 0: the process was reaped before the kernel read its parent. It may be a process of another
    // parent, which had the pid before or after a child of this process.
    const int32_t parent = raw.u.exit.parent_pid;
    const auto count = counts_.find(raw.pid);
    const bool expected = count != counts_.end() && count->second.second < count->second.first;
    if (parent == self_ || (parent == 0 && expected)) ++counts_[raw.pid].second;
  }

  UniqueFd socket_;
  const pid_t self_ = ::getpid();
  std::map<uint32_t, uint32_t> next_;  // by CPU
  Counts counts_;
  int gaps_ = 0;
};

// The processes over the connector cannot be taken over: the events while no knelld runs are lost.
TEST(RestartWithLoss, TheLossBeginsWithTheLastEventThatWasRead) {
  KNELL_NEEDS(lacks_knelld());
  Daemon daemon;
  daemon.configure("source = \"connector\"\n[journal]\nenabled = false\n");
  ASSERT_TRUE(daemon.start_supervised());
  Recorder listener({.events = KNELL_EVENT_EXIT,
                     .details = KNELL_DETAILS_STATUS,
                     .matches = {{"under", std::to_string(::getpid())}},
                     .via = "daemon"});
  const auto before = live_and_die(5);
  ASSERT_TRUE(listener.read_until_exit_of(before.back().pid, before.back().status));
  const uint64_t killed_ns = system_clock().monotonic_ns();
  ASSERT_TRUE(daemon.kill_supervised());
  ASSERT_TRUE(listener.read_until([&] { return !listener.of_type(KNELL_EVENT_LOST).empty(); }));
  const knell_event lost = listener.of_type(KNELL_EVENT_LOST).front().raw;
  EXPECT_EQ(lost.has & KNELL_HAS_COUNT, 0U);
  EXPECT_GE(lost.lost_from_ns, before.front().from_ns);
  EXPECT_LE(lost.lost_from_ns, killed_ns);
  EXPECT_GE(lost.lost_until_ns, killed_ns);
  const int64_t period_ns = static_cast<int64_t>(lost.lost_until_ns - lost.lost_from_ns);
  EXPECT_EQ(lost.lost_until_time_ns - lost.lost_from_time_ns, period_ns);
}

constexpr const char* kTakenOver = "the tracing programs and their events were taken over";

TEST_F(Restart, KeepsClientsAndEvents) {
  WireListener listener(daemon_.socket(), lives());
  const auto before = live_and_die(10);
  ASSERT_TRUE(daemon_.kill_supervised());
  const auto after = live_and_die(10);
  ASSERT_TRUE(listener.take_life(sentinel()));
  EXPECT_EQ(listener.keys_of(before), keys_of(before));
  EXPECT_EQ(listener.keys_of(after), keys_of(after));
  EXPECT_FALSE(listener.over());
  EXPECT_EQ(listener.lost(), 0U);
  EXPECT_TRUE(said(kTakenOver)) << daemon_.log();
}

// Events that happen while no daemon runs stay in the kernel.
TEST_F(Restart, ReportsWhatHappenedMeanwhile) {
  WireListener listener(daemon_.socket(), lives());
  const pid_t knelld = daemon_.supervised_pid();
  // The supervisor does not start another knelld while it is stopped.
  ASSERT_EQ(::kill(daemon_.pid(), SIGSTOP), 0);
  ASSERT_EQ(::kill(knelld, SIGKILL), 0);
  const auto meanwhile = live_and_die(200);
  ASSERT_EQ(::kill(daemon_.pid(), SIGCONT), 0);
  ASSERT_TRUE(daemon_.await_log("listens on"));
  ASSERT_TRUE(listener.take_life(sentinel()));
  EXPECT_EQ(listener.keys_of(meanwhile), keys_of(meanwhile));
  EXPECT_EQ(listener.lost(), 0U);
}

// A supervisor that cannot start knelld keeps what it holds, and tries again.
TEST_F(Restart, TheSupervisorNeedsNoSecondSetOfDescriptors) {
  std::vector<std::unique_ptr<WireListener>> listeners;
  for (int i = 0; i < 32; ++i)
    listeners.push_back(std::make_unique<WireListener>(daemon_.socket(), lives()));
  rlimit before{};
  ASSERT_EQ(::prlimit(daemon_.pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const auto set_limit = [&](rlim_t most) {
    const rlimit few{.rlim_cur = most, .rlim_max = before.rlim_max};
    ASSERT_EQ(::prlimit(daemon_.pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  };
  const std::filesystem::directory_iterator fds("/proc/" +
                                                std::to_string(daemon_.supervised_pid()) + "/fd");
  set_limit(static_cast<rlim_t>(std::distance(begin(fds), end(fds))) + 16);
  ASSERT_TRUE(daemon_.kill_supervised());
  const auto full = live_and_die(10);
  // Now the descriptors do not even fit into the child.
  set_limit(8);
  ASSERT_EQ(::kill(daemon_.supervised_pid(), SIGKILL), 0);
  ASSERT_TRUE(daemon_.await_log("cannot pass the stored descriptors: Too many open files"));
  const auto meanwhile = live_and_die(10);
  set_limit(before.rlim_cur);
  ASSERT_TRUE(daemon_.await_log("listens on"));
  const Life last = sentinel();
  for (const auto& listener : listeners) {
    ASSERT_TRUE(listener->take_life(last));
    EXPECT_EQ(listener->keys_of(full), keys_of(full));
    EXPECT_EQ(listener->keys_of(meanwhile), keys_of(meanwhile));
    EXPECT_EQ(listener->lost(), 0U);
  }
}

// One client reads immediately, another one only after the storm: its events are always in its
// queue.
TEST_F(Restart, LosesAndRepeatsNothingInAStorm) {
  // A start takes seconds in an emulated machine.
  const int kills_wanted = in_vm() ? 3 : 20;
  constexpr int kBetweenKills = 60;
  WireListener prompt(daemon_.socket(), lives());
  WireListener late(daemon_.socket(), lives(KNELL_EVENT_EXIT));
  CompatClient compat(daemon_.socket());
  ASSERT_TRUE(compat.take(60'000));  // the ack
  std::atomic<int> died = 0, kills = 0;
  std::thread killer([&] {
    for (int next = 100; kills < kills_wanted; next = died + kBetweenKills + 7 * kills) {
      for (int now = died; now < next; now = died) died.wait(now);
      if (!daemon_.kill_supervised()) break;
      ++kills;
    }
    kills = kills_wanted;
  });
  std::vector<Life> all;
  while (kills < kills_wanted) {
    const auto some = live_and_die(10);
    all.insert(all.end(), some.begin(), some.end());
    died += 10;
    died.notify_one();
    prompt.take();
    compat.take();
  }
  killer.join();
  const Life last = sentinel();
  ASSERT_TRUE(prompt.take_life(last));
  ASSERT_TRUE(late.take_until([&] { return !late.keys_of(std::vector{last}).empty(); }));
  EXPECT_EQ(prompt.keys_of(all), keys_of(all));
  Keys exits = keys_of(all);
  std::erase_if(exits, [](const auto& one) { return std::get<1>(one.first) != KNELL_EVENT_EXIT; });
  EXPECT_EQ(late.keys_of(all), exits);
  EXPECT_EQ(prompt.lost() + late.lost(), 0U);
  EXPECT_FALSE(said("were lost")) << daemon_.log();
  all.push_back(last);
  CompatClient::Counts expected;  // two children may have had the same pid
  for (const Life& life : all) {
    ++expected[life.pid].first;
    ++expected[life.pid].second;
  }
  const auto has_all = [&] {
    return std::ranges::all_of(expected, [&](const auto& one) {
      const auto count = compat.counts().find(one.first);
      return count != compat.counts().end() && count->second.first >= one.second.first &&
             count->second.second >= one.second.second;
    });
  };
  // The kernel sends the EXIT of a process after it has woken the parent. So that of the sentinel
  // may come before those of earlier children.
  for (const Deadline deadline; !has_all() && !deadline.passed();) compat.take(deadline.left_ms());
  EXPECT_EQ(compat.gaps(), 0);
  for (const auto& [pid, count] : expected) {
    const auto found = compat.counts().find(pid);
    EXPECT_EQ(found == compat.counts().end() ? std::pair(0, 0) : found->second, count) << pid;
  }
}

}  // namespace
}  // namespace knell::test
