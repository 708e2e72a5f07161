// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/living_processes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "event/id.h"
#include "process/fake_proc.h"

namespace knell::process {
namespace {

constexpr uint64_t kTick = Timebase::kTickNs;

std::string text_of(const knell_string& text) {
  return text.data == nullptr ? std::string() : std::string(text.data, text.size);
}

struct Seen {
  knell_event event;
  std::string comm, parent_comm, args;
  uint64_t roots;
};

class LivingProcessesTest : public testing::Test {
 protected:
  void list(size_t piece = SIZE_MAX) {
    reader_ = tree_.reader();
    living_.emplace(*reader_, clock_, options_);
    for (bool all = false; !all;) {
      ScanBudget budget{.left = piece};
      const auto listed = living_->list_some(budget);
      ASSERT_TRUE(listed) << listed.error().message();
      all = *listed;
      ++pieces_;
    }
  }
  std::vector<Seen> rest(size_t piece = SIZE_MAX) {
    std::vector<Seen> all;
    event::Batch batch(1);
    for (;;) {
      ScanBudget budget{.left = piece};
      const auto next = living_->next(budget, batch);
      ++pieces_;
      if (next == LivingProcesses::Next::kEnd) return all;
      if (next == LivingProcesses::Next::kMore) continue;
      const knell_event& event = batch[0].event;
      all.push_back({event, text_of(event.comm), text_of(event.parent_comm), text_of(event.args),
                     batch[0].note});
    }
  }
  std::vector<int32_t> pids() {
    list();
    std::vector<int32_t> all;
    for (const Seen& seen : rest()) all.push_back(seen.event.pid);
    return all;
  }

  FakeProc tree_;
  FakeClock clock_;
  LivingProcesses::Options options_;
  std::optional<ProcReader> reader_;
  std::optional<LivingProcesses> living_;
  size_t pieces_ = 0;
};

// Whether each process comes after its parent, and each comes once.
bool parents_first(const std::vector<int32_t>& all, const std::map<int, FakeProcess>& tree) {
  std::set<int32_t> seen;
  for (const int32_t pid : all) {
    const int ppid = tree.at(pid).ppid;
    if (tree.contains(ppid) && !seen.contains(ppid)) return false;
    if (!seen.insert(pid).second) return false;
  }
  return seen.size() == tree.size();
}

TEST_F(LivingProcessesTest, ReturnsParentsBeforeTheirChildren) {
  // All have the same start, and some children have smaller pids than their parents.
  const std::map<int, FakeProcess> tree{{10, {.ppid = 30}}, {20, {.ppid = 10}}, {30, {.ppid = 50}},
                                        {40, {.ppid = 20}}, {50, {.ppid = 0}},  {60, {.ppid = 50}}};
  for (const auto& [pid, process] : tree) tree_.add(pid, process);
  EXPECT_TRUE(parents_first(pids(), tree));
}

TEST_F(LivingProcessesTest, AnEventHasTheDetailsAndTheParent) {
  tree_.add(10, {.ppid = 0, .start = 3, .comm = "init"});
  tree_.add(20, {.ppid = 10, .start = 7, .comm = "job", .cmdline = std::string("job\0-x\0", 7)});
  options_.boot = 0xabcd;
  list();
  const auto all = rest();
  ASSERT_EQ(all.size(), 2u);
  const auto& job = all[0].event.pid == 20 ? all[0] : all[1];
  EXPECT_EQ(job.event.type, uint32_t{KNELL_EVENT_NONE});
  EXPECT_EQ(job.event.via, uint32_t{KNELL_VIA_PROC});
  EXPECT_EQ(event::id_text(job.event.id).view(), "0000abcd-20-7");
  EXPECT_EQ(event::id_text(job.event.parent_id).view(), "0000abcd-10-3");
  EXPECT_EQ(job.comm, "job");
  EXPECT_EQ(job.parent_comm, "init");
  EXPECT_EQ(job.args, std::string("job\0-x\0", 7));
  EXPECT_EQ(job.event.mono_ns, clock_.now_ns);
}

TEST_F(LivingProcessesTest, NamesAreEnoughWithoutFullDetails) {
  tree_.add(20, {.comm = "job", .cmdline = "job"});
  options_.details = KNELL_DETAILS_NAMES;
  list();
  const auto all = rest();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].comm, "job");
  EXPECT_EQ(all[0].event.args.data, nullptr);
}

TEST_F(LivingProcessesTest, WorksInPieces) {
  std::map<int, FakeProcess> tree;
  for (int pid = 100; pid < 120; ++pid) tree[pid] = {.ppid = pid - 1};
  for (const auto& [pid, process] : tree) tree_.add(pid, process);
  list(1);
  EXPECT_GE(pieces_, 20u);
  pieces_ = 0;
  EXPECT_EQ(rest(1).size(), 20u);
  EXPECT_GE(pieces_, 20u);
}

TEST_F(LivingProcessesTest, ARootThatHasEndedIsNotTheProcessWithItsPid) {
  tree_.add(10, {.ppid = 0, .start = 7});
  tree_.add(20, {.ppid = 10, .start = 8});
  options_.roots = {{10, 3}, {10, 7}};
  list();
  for (const Seen& seen : rest()) EXPECT_EQ(seen.roots, 0b10u) << seen.event.pid;
}

TEST_F(LivingProcessesTest, ADeepTreeTakesNoStack) {
  constexpr int kDepth = 1'000;
  std::map<int, FakeProcess> tree;
  // The deepest has the smallest pid.
  for (int i = 0; i < kDepth; ++i) tree[1000 + i] = {.ppid = 1001 + i};
  // A smaller fake of /proc, since a process of FakeProc takes many files.
  class Chain final {
   public:
    static std::string stat(int pid, int ppid) {
      std::string text = std::to_string(pid) + " (x) S " + std::to_string(ppid);
      for (int field = 5; field < 20; ++field) text += " 0";
      text += " 1 0 1";
      for (int field = 23; field <= 52; ++field) text += " 0";
      return text;
    }
  };
  char folder[] = "/tmp/knell-chain-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::filesystem::path root = folder;
  for (const auto& [pid, process] : tree) {
    std::filesystem::create_directory(root / std::to_string(pid));
    std::ofstream(root / std::to_string(pid) / "stat") << Chain::stat(pid, process.ppid);
  }
  reader_ = *ProcReader::open(folder);
  options_.roots = {{1000 + kDepth - 1}};
  living_.emplace(*reader_, clock_, options_);
  ScanBudget all;
  ASSERT_TRUE(living_->list_some(all));
  std::vector<int32_t> pids;
  for (const Seen& seen : rest()) {
    EXPECT_EQ(seen.roots, 1u);
    pids.push_back(seen.event.pid);
  }
  std::filesystem::remove_all(root);
  EXPECT_EQ(pids.size(), size_t{kDepth});
  EXPECT_TRUE(std::ranges::is_sorted(pids, std::greater<>()));
  EXPECT_LT(living_->bytes(), size_t{kDepth} * 100);
}

TEST_F(LivingProcessesTest, ACycleOfReusedPidsEnds) {
  tree_.add(10, {.ppid = 20});
  tree_.add(20, {.ppid = 10});
  tree_.add(30, {.ppid = 30});
  EXPECT_EQ(pids().size(), 3u);
}

TEST_F(LivingProcessesTest, AYoungerProcessIsNoParent) {
  tree_.add(10, {.ppid = 20, .start = 3});
  tree_.add(20, {.ppid = 1, .start = 9, .comm = "late"});
  options_.roots = {{20}};
  list();
  for (const Seen& seen : rest()) {
    EXPECT_EQ(seen.roots, seen.event.pid == 20 ? 1u : 0u) << seen.event.pid;
    EXPECT_EQ(seen.parent_comm, "") << seen.event.pid;
  }
}

TEST_F(LivingProcessesTest, FindsWhatIsUnderEachRoot) {
  tree_.add(10, {.ppid = 1, .start = 1});
  tree_.add(11, {.ppid = 10, .start = 2});
  tree_.add(12, {.ppid = 11, .start = 3});
  tree_.add(13, {.ppid = 1, .start = 4});
  options_.roots = {{10}, {11}, {99}};
  list();
  std::map<int32_t, uint64_t> roots;
  for (const Seen& seen : rest()) roots[seen.event.pid] = seen.roots;
  EXPECT_EQ(roots, (std::map<int32_t, uint64_t>{{10, 1}, {11, 3}, {12, 3}, {13, 0}}));
}

TEST_F(LivingProcessesTest, LeavesOutWhatCannotMatch) {
  tree_.add(10, {.ppid = 1, .start = 1});
  tree_.add(11, {.ppid = 10, .start = 2});
  tree_.add(12, {.ppid = 1, .start = 3});
  options_.roots = {{10}};
  EXPECT_EQ(pids(), (std::vector<int32_t>{10, 11, 12}));
  options_.only_under = true;
  EXPECT_EQ(pids(), (std::vector<int32_t>{10, 11}));
  options_.pids = {11, 12};
  EXPECT_EQ(pids(), std::vector<int32_t>{11});
}

TEST_F(LivingProcessesTest, WhatMayNotBeListedTakesNoMemoryButStillConnects) {
  tree_.add(10, {.ppid = 1, .start = 1, .uid = 5});
  tree_.add(11, {.ppid = 10, .start = 2, .uid = 0});  // as sudo
  tree_.add(12, {.ppid = 11, .start = 3, .uid = 5});
  options_.may_list = [](const ProcFolder& folder) {
    const auto ids = folder.ids();
    return ids && ids->uid == 5;
  };
  EXPECT_EQ(pids(), (std::vector<int32_t>{10, 12}));
  options_.roots = {{10}};
  list();
  std::map<int32_t, uint64_t> roots;
  for (const Seen& seen : rest()) roots[seen.event.pid] = seen.roots;
  EXPECT_EQ(roots, (std::map<int32_t, uint64_t>{{10, 1}, {12, 1}}));
}

TEST_F(LivingProcessesTest, LeavesOutWhatEndsBetweenThePasses) {
  tree_.add(10, {.start = 1});
  tree_.add(11, {.start = 1});
  tree_.add(12, {.start = 1});
  list();
  tree_.remove(10);
  tree_.add(11, {.start = 1 + clock_.now_ns / kTick / 2});  // its pid is in use again
  const auto all = rest();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].event.pid, 12);
}

TEST_F(LivingProcessesTest, AMissingProcIsAnError) {
  char folder[] = "/tmp/knell-proc-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  reader_ = *ProcReader::open(folder);
  std::filesystem::remove_all(folder);
  living_.emplace(*reader_, clock_, options_);
  ScanBudget all;
  const auto listed = living_->list_some(all);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().code, EIO);
}

}  // namespace
}  // namespace knell::process
