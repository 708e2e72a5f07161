// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "feed/recovery.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "process/fake_proc.h"
#include "source/bpf/bpf.h"
#include "source/output_for_test.h"

namespace knell::feed {
namespace {

using source::Drained;
using source::KeptOutput;
using source::SourceRequest;

constexpr uint64_t kTickNs = 10'000'000;

class FakeKernel : public process::KernelProcesses {
 public:
  std::map<int32_t, State> now;
  std::optional<State> state_of(int32_t pid) override {
    const auto at = now.find(pid);
    return at == now.end() ? std::nullopt : std::optional(at->second);
  }
  void begin_list() override { listed_ = 0; }
  int32_t next_pid() override {
    const auto next = now.upper_bound(listed_);
    return listed_ = next == now.end() ? 0 : next->first;
  }
  bool list_failed() const override { return false; }
  UniqueFd open(int32_t) override { return UniqueFd(); }
  std::optional<int32_t> status_of(int32_t, const UniqueFd&) override { return std::nullopt; }

 private:
  int32_t listed_ = 0;
};

// Reports what the test tells it, as a source does.
class FakeSource : public source::Source {
 public:
  explicit FakeSource(source::Output& out) : out_(out) {}

  void exit(int32_t pid, uint64_t start, int32_t status) {
    put(KNELL_EVENT_EXIT, pid, start, status);
    out_.sink().on_process_ended(pid, start, {});
  }
  void fork(int32_t pid, uint64_t start) { out_.sink().on_process_begun(pid, start, true); }
  void exec(int32_t pid, uint64_t start) { put(KNELL_EVENT_EXEC, pid, start, std::nullopt); }
  void lose(uint32_t types) {
    event::Raw hole;
    hole.what = KNELL_EVENT_LOST;
    hole.u.lost.types = types;
    out_.add_hole(hole, KNELL_VIA_CONNECTOR, false);
  }

  void report_missed(const source::Missed& missed) override {
    put(missed.type, missed.pid, missed.start, missed.status);
    if (missed.type == KNELL_EVENT_EXIT) out_.sink().on_process_ended(missed.pid, missed.start, {});
  }
  Result<void> set_request(const SourceRequest&) override { return {}; }
  uint32_t kernel_mask() const override { return 0; }
  Result<void> add_pid(int32_t, uint64_t) override { return {}; }
  int fd() const override { return -1; }
  Result<Drained> drain(size_t) override { return Drained::kEmpty; }
  source::Capabilities capabilities() const override { return {}; }
  source::Counters counters() const override { return {}; }
  process::ProcessTable* table() override { return &table_; }

 private:
  void put(uint32_t type, int32_t pid, uint64_t start, std::optional<int32_t> status) {
    source::Slot* slot =
        out_.begin(type, KNELL_VIA_CONNECTOR, pid, pid, out_.clock().monotonic_ns());
    slot->event.id = {1, pid, start, KNELL_ID_START};
    if (status) {
      slot->event.has |= KNELL_HAS_STATUS;
      slot->event.wait_status = *status;
    }
    out_.commit(*slot, filter::NoAncestry());
  }
  source::Output& out_;
  process::FakeProc tree_;
  process::ProcReader proc_ = tree_.reader();
  process::ProcessTable table_{proc_, out_.clock(), out_.time(), 1};
};

class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() {
    recovery_.set_source(source_, out_);
    recovery_.track(process::Tracked::kAll, true);
    scan();
    clock_.now_ns += 10 * kTickNs;
  }
  uint64_t ticks() const { return clock_.now_ns / kTickNs; }
  void scan() {
    ScanBudget all;
    EXPECT_TRUE(recovery_.scan_some(all));
  }
  // A process that is known: by its fork.
  uint64_t begin(int32_t pid) {
    const uint64_t start = ticks();
    kernel_.now[pid] = {.start = start, .ppid = 1};
    source_.fork(pid, start);
    return start;
  }
  void finish() {
    for (int i = 0; i < 100 && recovery_.due_ns() != 0; i++) {
      clock_.now_ns += process::LiveSet::kSettleNs;
      ScanBudget all;
      recovery_.advance(all, clock_.now_ns);
    }
    reader_.take();
  }

  FakeClock clock_;
  FakeKernel kernel_;
  KeptOutput reader_{1024, clock_};
  Recovery recovery_{reader_, kernel_, clock_};
  source::Output out_{reader_.batch, recovery_, clock_, 1};
  FakeSource source_{out_};
};

TEST_F(RecoveryTest, ReportsALostExitOnceWithItsFlag) {
  const uint64_t start = begin(5);
  begin(6);
  source_.lose(KNELL_EVENT_EXIT);
  kernel_.now.erase(5);
  finish();
  EXPECT_EQ(reader_.count(KNELL_EVENT_EXIT, 5), 1U);
  EXPECT_EQ(reader_.count(KNELL_EVENT_EXIT, 6), 0U);
  const auto* exit = reader_.find(KNELL_EVENT_EXIT, 5);
  EXPECT_EQ(exit->event.flags, static_cast<uint32_t>(KNELL_FLAG_RECOVERED));
  EXPECT_EQ(exit->event.mono_ns, clock_.now_ns);
  ASSERT_EQ(reader_.ended.size(), 1U);
  EXPECT_EQ(reader_.ended[0].start, start);
  EXPECT_EQ(recovery_.recovered(), 1U);
  source_.lose(KNELL_EVENT_EXIT);
  finish();
  EXPECT_EQ(reader_.count(KNELL_EVENT_EXIT, 5), 1U);
}

TEST_F(RecoveryTest, DropsAnExitThatComesAfterItWasRecovered) {
  const uint64_t start = begin(5);
  source_.lose(KNELL_EVENT_EXIT);
  kernel_.now.erase(5);
  finish();
  source_.exit(5, start, 1);
  reader_.take();
  EXPECT_EQ(reader_.count(KNELL_EVENT_EXIT, 5), 1U);
  EXPECT_EQ(reader_.ended.size(), 1U);
  clock_.now_ns += 10 * kTickNs;
  const uint64_t later = begin(5);  // another process
  source_.exit(5, later, 2);
  reader_.take();
  EXPECT_EQ(reader_.count(KNELL_EVENT_EXIT, 5), 2U);
  EXPECT_EQ(reader_.ended.size(), 2U);
}

TEST_F(RecoveryTest, ALossOfOtherTypesNeedsNoComparison) {
  begin(5);
  kernel_.now.erase(5);
  source_.lose(KNELL_EVENT_COMM | KNELL_EVENT_UID);
  EXPECT_EQ(recovery_.due_ns(), 0U);
  source_.lose(0);  // of unknown types
  EXPECT_NE(recovery_.due_ns(), 0U);
}

TEST_F(RecoveryTest, ReportsAForkAndAnExecThatWereLost) {
  source_.lose(KNELL_EVENT_FORK | KNELL_EVENT_EXEC);
  kernel_.now[5] = {.start = ticks(), .ppid = 1, .executed = true};
  finish();
  EXPECT_EQ(reader_.count(KNELL_EVENT_FORK, 5), 1U);
  EXPECT_EQ(reader_.count(KNELL_EVENT_EXEC, 5), 1U);
}

TEST_F(RecoveryTest, AnExecThatCameIsNotLost) {
  const uint64_t start = begin(5);
  source_.exec(5, start);
  kernel_.now[5].executed = true;
  source_.lose(KNELL_EVENT_EXEC);
  finish();
  EXPECT_EQ(reader_.count(KNELL_EVENT_EXEC, 5), 1U);
}

TEST_F(RecoveryTest, TheExitOfAnEarlierProcessComesBeforeTheForkOfALaterOne) {
  begin(5);
  clock_.now_ns += 10 * kTickNs;
  begin(5);
  reader_.take();
  EXPECT_EQ(reader_.count(KNELL_EVENT_EXIT, 5), 1U);
  EXPECT_TRUE(recovery_.live().has(5));
}

TEST_F(RecoveryTest, WithoutItNothingIsStored) {
  recovery_.track(process::Tracked::kNone, false);
  begin(5);
  source_.lose(KNELL_EVENT_EXIT);
  EXPECT_EQ(recovery_.live().size(), 0U);
  EXPECT_EQ(recovery_.due_ns(), 0U);
}

// The ring of other events is too small for the forks and execs; exits have a ring of their own.
TEST(RecoveryOverBpf, FindsForksAndExecsThatDidNotFit) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  process::LiveKernelProcesses kernel;
  KeptOutput reader(8192);
  Recovery recovery(reader, kernel, system_clock());
  source::Output out(reader.batch, recovery, system_clock(), 1);
  SourceRequest wanted;
  wanted.mask = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;
  wanted.details = KNELL_DETAILS_NAMES;
  wanted.lifetimes = true;
  source::BpfOptions tiny;
  tiny.event_ring_bytes = 4096;
  auto bpf = source::Bpf::create(tiny, wanted, out);
  if (!bpf) GTEST_SKIP() << bpf.error().message();
  ASSERT_EQ((*bpf)->recoverable(wanted), process::Tracked::kAll);
  recovery.set_source(**bpf, out);
  recovery.track(process::Tracked::kAll, true);
  ScanBudget all;
  ASSERT_TRUE(recovery.scan_some(all));

  for (int i = 0; i < 100; i++) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    ::waitpid(pid, nullptr, 0);
  }
  int go[2], back[2];
  ASSERT_EQ(::pipe(go), 0);
  ASSERT_EQ(::pipe(back), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(go[0], 0);
    ::dup2(back[1], 1);
    ::close(go[1]);
    ::execl("/bin/cat", "cat", nullptr);
    ::_exit(1);
  }
  ::close(go[0]);
  ::close(back[1]);
  char byte =
      'x';  // returned when the program runs, so that its exec is over before the first read
  ASSERT_EQ(::write(go[1], &byte, 1), 1);
  ASSERT_EQ(::read(back[0], &byte, 1), 1);
  const auto read = [&](const auto& done) {
    for (int i = 0; i < 100'000 && !done(); i++) {
      out.begin_drain();
      const uint64_t began = system_clock().monotonic_ns();
      const auto drained = (*bpf)->drain(out.bound());
      ASSERT_TRUE(drained);
      ScanBudget piece{.left = 256};
      if (recovery.due_ns() != 0) recovery.advance(piece, *drained == Drained::kMore ? 0 : began);
      reader.take();
      ::usleep(1000);
    }
  };
  read([&] { return reader.count(KNELL_EVENT_EXEC, child) > 0; });
  const auto* exec = reader.find(KNELL_EVENT_EXEC, child);
  ASSERT_NE(exec, nullptr);
  EXPECT_NE(exec->event.flags & KNELL_FLAG_RECOVERED, 0U);
  EXPECT_EQ(source::text_of(exec->event.comm), "cat");
  const auto forks = std::ranges::count_if(reader.events, [&](const source::KeptEvent& kept) {
    return kept.event.type == KNELL_EVENT_FORK && kept.event.child_pid == child;
  });
  EXPECT_EQ(forks, 1);
  ::close(go[1]);
  ::close(back[0]);
  ::waitpid(child, nullptr, 0);
  read([&] { return reader.count(KNELL_EVENT_EXIT, child) > 0; });
  EXPECT_EQ(reader.count(KNELL_EVENT_EXIT, child), 1U);
  EXPECT_EQ(reader.find(KNELL_EVENT_EXIT, child)->event.flags & KNELL_FLAG_RECOVERED, 0U);
}

}  // namespace
}  // namespace knell::feed
