// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/tree.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "cli/event_for_test.h"

namespace knell::cli {
namespace {

class TreeTest : public testing::Test {
 protected:
  void fork(pid_t parent, pid_t child) { add(EventForTest().fork(parent, child)); }
  void exec(pid_t pid, const std::string& comm) {
    EventForTest event;
    event.process(pid, 0).comm(comm);
    event.event.type = KNELL_EVENT_EXEC;
    add(event);
  }
  void exit(pid_t pid) { add(EventForTest().exit(0x100).process(pid, 0)); }
  void add(const EventForTest& event) {
    tree_.add(event, [this](pid_t pid, uint64_t) { return alive_.contains(pid); });
  }
  std::string ancestry(pid_t pid) {
    return tree_.ancestry(EventForTest().exit(0x100).process(pid, 0));
  }

  std::set<pid_t> alive_;
  Tree tree_{100, 99, 10};
};

TEST_F(TreeTest, ShowsTheAncestry) {
  exec(100, "make");
  fork(100, 200);
  EXPECT_EQ(ancestry(200), "make <- make");  // no exec yet
  exec(200, "gcc");
  fork(200, 300);
  exec(300, "cc1");
  EXPECT_EQ(ancestry(300), "cc1 <- gcc <- make");
  EXPECT_EQ(ancestry(100), "make");
  EXPECT_EQ(tree_.processes(), 3u);
}

TEST_F(TreeTest, AForkByTheParentOfTheRootCountsAsTheRoots) {
  exec(100, "make");
  fork(99, 200);
  exec(200, "helper");
  EXPECT_EQ(ancestry(200), "helper <- make");
  EXPECT_EQ(tree_.processes(), 2u);
}

TEST_F(TreeTest, ParentsThatEndedAreStillShown) {
  exec(100, "make");
  fork(100, 200);
  exec(200, "sh");
  fork(200, 300);
  exec(300, "daemon");
  exit(200);
  EXPECT_EQ(ancestry(300), "daemon <- sh <- make");
  exit(300);
  EXPECT_EQ(tree_.size(), 1u);  // both entries are removed
}

TEST_F(TreeTest, AReusedPidIsANewProcess) {
  exec(100, "make");
  fork(100, 200);
  exec(200, "old");
  fork(100, 200);  // the exit event of the first 200 was lost
  EXPECT_EQ(ancestry(200), "make <- make");
  EXPECT_EQ(tree_.size(), 2u);
  EXPECT_EQ(tree_.processes(), 3u);
}

TEST_F(TreeTest, SweepsEndedProcessesBeyondItsLimit) {
  exec(100, "make");
  alive_ = {205};
  for (pid_t pid = 201; pid <= 211; ++pid) fork(100, pid);
  EXPECT_LE(tree_.size(), 10u);
  EXPECT_EQ(ancestry(205), "make <- make");
  EXPECT_EQ(tree_.processes(), 12u);
}

TEST_F(TreeTest, CountsProcessesThatAreAlive) {
  fork(100, 200);
  fork(100, 201);
  fork(100, 202);
  exit(202);
  alive_ = {100, 200};  // the root itself is not counted
  EXPECT_EQ(tree_.count_alive([this](pid_t pid, uint64_t) { return alive_.contains(pid); }), 1u);
}

TEST_F(TreeTest, UnknownProcessesAreNamedByTheEvent) {
  EventForTest event;
  event.exit(9).process(999, 1).comm("stray").parent_comm("init");
  EXPECT_EQ(tree_.ancestry(event), "stray <- init");
}

TEST_F(TreeTest, CutsADeepAncestry) {
  exec(100, "make");
  for (pid_t pid = 101; pid < 108; ++pid) fork(pid - 1, pid);
  fork(107, 108);
  EXPECT_TRUE(ancestry(108).ends_with(" <- …")) << ancestry(108);
}

TEST(AliveInProc, ComparesTheStart) {
  EXPECT_TRUE(alive_in_proc(::getpid(), 0));
  EXPECT_FALSE(alive_in_proc(::getpid(), 1));
  EXPECT_FALSE(alive_in_proc(4'194'304, 0));
}

}  // namespace
}  // namespace knell::cli
