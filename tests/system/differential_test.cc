// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The filter, checked on the live kernel: for each of many masks the same events come through the
// kernel's filter, through the classic BPF program, and through filter::passes() over a socket that
// filters nothing. All sockets listen at the same time to all events of the machine between two
// stamps.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <tuple>

#include "base/clock.h"
#include "event/cn_message.h"
#include "event/mask.h"
#include "filter/classic_bpf.h"
#include "filter/rule.h"
#include "source/connector/receiver.h"
#include "source/connector/socket.h"
#include "support/needs.h"
#include "system/collector.h"

namespace knell::test {
namespace {

using source::Receiver;

// What identifies an event: cpu, seq, what, data.
using Key = std::tuple<uint32_t, uint32_t, uint32_t, std::array<std::byte, 24>>;
using Keys = std::set<Key>;

constexpr size_t kDataOffset = 52;  // offset of event_data in a datagram
constexpr std::array<uint32_t, 9> kTypes = {
    KNELL_EVENT_FORK,   KNELL_EVENT_EXEC, KNELL_EVENT_UID,      KNELL_EVENT_GID, KNELL_EVENT_SID,
    KNELL_EVENT_PTRACE, KNELL_EVENT_COMM, KNELL_EVENT_COREDUMP, KNELL_EVENT_EXIT};

Key key_of(const event::Raw& raw) {
  Key key{raw.cpu, raw.seq, raw.what, {}};
  const auto bytes = event::encode(raw);
  std::memcpy(std::get<3>(key).data(), bytes.data() + kDataOffset, std::get<3>(key).size());
  return key;
}

// A socket of this test, with a filter that the test chooses.
class Listener {
 public:
  // A listener whose request has no mask is a legacy listener: only `program` filters its events.
  Listener(std::optional<uint32_t> request, const filter::ClassicBpf& program) {
    auto fd = source::open_connector();
    KNELL_CHECK(fd.has_value());
    fd_ = *std::move(fd);
    source::size_buffer(fd_.get(), 16U << 20);
    if (!program.empty()) KNELL_CHECK(source::attach_filter(fd_.get(), program).has_value());
    KNELL_CHECK(source::join_events(fd_.get()).has_value());
    KNELL_CHECK(source::send_request(fd_.get(), KNELL_MCAST_LISTEN, request) == 0);
  }
  ~Listener() {
    if (fd_) source::send_request(fd_.get(), KNELL_MCAST_IGNORE, std::nullopt);
  }
  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = delete;

  // All events stamped inside the window; acks are not events.
  std::vector<event::Raw> read(uint64_t from_ns, uint64_t until_ns) {
    std::vector<event::Raw> events;
    Receiver receiver;
    Receiver::Fill filled;
    while ((filled = receiver.fill(fd_.get())) == Receiver::Fill::kSome) {
      while (const auto raw = receiver.next()) {
        const bool inside = raw->stamp_ns > from_ns && raw->stamp_ns < until_ns;
        if (inside && raw->what != KNELL_EVENT_NONE) events.push_back(*raw);
      }
    }
    EXPECT_EQ(filled, Receiver::Fill::kEmpty) << "events were lost";
    return events;
  }

 private:
  UniqueFd fd_;
};

void sleep_until_killed() {
  for (;;) ::pause();
}

// A victim for ptrace: attached and detached, which are two events.
void trace_a_child() {
  const Child child = Child::fork([] {
    sleep_until_killed();
    return 0;
  });
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr), 0);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, child.pid(), nullptr, nullptr), 0);
  ASSERT_EQ(::waitpid(child.pid(), nullptr, __WALL), child.pid());
  ASSERT_EQ(::ptrace(PTRACE_DETACH, child.pid(), nullptr, nullptr), 0);
}

int change_much() {
  ::setsid();
  ::prctl(PR_SET_NAME, "differential");
  // Uses the system calls directly, since libc would change the ids of all threads.
  ::syscall(SYS_setgid, 65534);
  ::syscall(SYS_setuid, 65534);
  return 3;
}

int run_threads() {
  std::thread([] {}).join();
  std::thread([] { ::syscall(SYS_exit, 5); }).detach();
  return 0;
}

int dump_core() {
  no_core_files();
  ::signal(SIGSEGV, SIG_DFL);
  ::raise(SIGSEGV);
  return 0;
}

int exec_something() {
  // Executes this program itself, with no test to run.
  ::execl("/proc/self/exe", "differential", "--gtest_filter=-*", "--gtest_brief=1", nullptr);
  return 1;
}

// Every type of event, and exits of both kinds, several times.
void stir(int rounds) {
  for (int round = 0; round < rounds; round++) {
    exited_child(0);
    exited_child(round % 255 + 1);
    Child::fork(change_much).wait();
    Child::fork(run_threads).wait();
    Child::fork(dump_core).wait();
    trace_a_child();
  }
  const Pipe silence = make_pipe();
  Child::fork([&] {
    ::dup2(silence.write.get(), STDOUT_FILENO);
    return exec_something();
  }).wait();
}

std::vector<uint32_t> masks() {
  std::set<uint32_t> masks = {KNELL_EVENT_ALL, 0, 0x400};
  for (const uint32_t type : kTypes) {
    masks.insert(type);
    masks.insert(type | KNELL_EVENT_NONZERO_EXIT);
    masks.insert(KNELL_EVENT_ALL & ~type);
  }
  masks.insert(KNELL_EVENT_NONZERO_EXIT);
  masks.insert(KNELL_EVENT_ALL & ~KNELL_EVENT_NONZERO_EXIT);
  const uint32_t seed = std::random_device()();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  std::mt19937 random(seed);
  while (masks.size() < 72) masks.insert(static_cast<uint32_t>(random()));
  return {masks.begin(), masks.end()};
}

Keys keys_of(const std::vector<event::Raw>& events) {
  Keys keys;
  for (const event::Raw& raw : events) keys.insert(key_of(raw));
  EXPECT_EQ(keys.size(), events.size()) << "no event twice";
  return keys;
}

Keys passing(const std::vector<event::Raw>& events, uint32_t mask) {
  Keys keys;
  for (const event::Raw& raw : events) {
    if (filter::passes(filter::Rule::kReleased, mask, raw)) keys.insert(key_of(raw));
  }
  return keys;
}

std::string difference(const Keys& wanted, const Keys& got) {
  std::string text;
  const auto report = [&](const char* what, const Keys& from, const Keys& other) {
    std::map<std::string, int> kinds;
    for (const Key& key : from) {
      if (!other.contains(key)) ++kinds[event::type_name(std::get<2>(key))];
    }
    for (const auto& [name, count] : kinds) {
      text += std::string(" ") + what + " " + std::to_string(count) + " " + name;
    }
  };
  report("misses", wanted, got);
  report("has too many", got, wanted);
  return text;
}

TEST(Differential, KernelAndClassicFilterPassWhatOursPasses) {
  KNELL_NEEDS(lacks_connector());
  KNELL_NEEDS(lacks_root());  // for big buffers
  struct Trial {
    uint32_t mask;
    std::optional<Listener> kernel, classic;
  };
  Listener everything(std::nullopt, {});
  const bool kernel_filter = lacks_kernel_filter().empty();
  std::vector<Trial> trials;
  for (const uint32_t mask : masks()) {
    Trial& trial = trials.emplace_back(mask, std::nullopt, std::nullopt);
    if (kernel_filter) trial.kernel.emplace(mask, filter::ClassicBpf());
    trial.classic.emplace(std::nullopt, filter::connector_filter(mask, false));
  }
  ASSERT_GE(trials.size(), 64U);

  const uint64_t from = system_clock().monotonic_ns();
  stir(repetitions(12));
  const uint64_t until = system_clock().monotonic_ns();

  const std::vector<event::Raw> all = everything.read(from, until);
  std::map<uint32_t, int> counts;
  int zeros = 0, failures = 0;
  for (const event::Raw& raw : all) {
    ++counts[raw.what];
    if (raw.what == KNELL_EVENT_EXIT) ++(raw.u.exit.code == 0 ? zeros : failures);
  }
  for (const uint32_t type : kTypes) EXPECT_GT(counts[type], 0) << event::type_name(type);
  EXPECT_GT(zeros, 0);
  EXPECT_GT(failures, 0);
  for (Trial& trial : trials) {
    const Keys ours = passing(all, trial.mask);
    const Keys classic = keys_of(trial.classic->read(from, until));
    EXPECT_EQ(difference(ours, classic), "")
        << std::hex << trial.mask << " " << event::mask_text(trial.mask) << ": classic filter";
    if (!trial.kernel) continue;
    const Keys kernel = keys_of(trial.kernel->read(from, until));
    EXPECT_EQ(difference(ours, kernel), "")
        << std::hex << trial.mask << " " << event::mask_text(trial.mask) << ": kernel filter";
  }
  if (!kernel_filter) std::puts("this kernel has no filter: compared two ways, not three");
}

}  // namespace
}  // namespace knell::test
