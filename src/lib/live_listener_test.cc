// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Added processes of a listener in this process, over pidfds, which need no privileges.
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>

#include <vector>

#include "base/pidfd.h"
#include "lib/child_for_test.h"

namespace knell::lib {
namespace {

class LiveListenerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!pidfd_features().open) GTEST_SKIP() << "this kernel has no pidfds";
    knell_options options = KNELL_OPTIONS_INIT;
    options.via = KNELL_VIA_PIDFD;
    ASSERT_EQ(knell_open(&options, &listener_), 0) << knell_explain();
  }
  ~LiveListenerTest() override { knell_close(listener_); }

  std::vector<knell_event> read(size_t count) {
    std::vector<knell_event> all;
    while (all.size() < count) {
      pollfd readable{.fd = knell_fd(listener_), .events = POLLIN, .revents = 0};
      if (::poll(&readable, 1, 20'000) <= 0) {
        ADD_FAILURE() << "no event within 20 s";
        break;
      }
      const knell_event* one[1];
      if (knell_read(listener_, one, 1) == 1) all.push_back(*one[0]);
    }
    return all;
  }

  knell_listener* listener_ = nullptr;
};

TEST_F(LiveListenerTest, AReusedPidHasTheCookieOfEachProcess) {
  Child first;
  const uint64_t first_start = start_of(first.pid());
  ASSERT_EQ(knell_add(listener_, first.pid(), 0, 1), 0) << knell_explain();
  EXPECT_EQ(knell_add(listener_, first.pid(), 0, 1), -EEXIST);
  const auto second = first.reuse_pid();
  if (second == nullptr) GTEST_SKIP() << "no permission to choose a pid";
  const pid_t pid = second->pid();
  ASSERT_EQ(knell_add(listener_, pid, 0, 2), 0) << knell_explain();
  EXPECT_EQ(knell_add(listener_, pid, start_of(pid), 3), -EEXIST);
  const auto third = second->reuse_pid();
  ASSERT_TRUE(third);
  ASSERT_EQ(knell_add(listener_, pid, start_of(pid), 3), 0) << knell_explain();
  third->die();
  const auto seen = read(3);
  ASSERT_EQ(seen.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(seen[i].cookie, i + 1);
    if (pidfd_features().exit_info) {
      EXPECT_EQ(seen[i].wait_status, 0x700);
    }
  }
  EXPECT_EQ(seen[0].id.start, first_start);
  EXPECT_EQ(knell_remove(listener_, pid), -ENOENT);
}

TEST_F(LiveListenerTest, AProcessThatHasEndedIsNotAddedAgain) {
  Child child;
  ASSERT_EQ(knell_add(listener_, child.pid(), 0, 1), 0) << knell_explain();
  child.die();
  EXPECT_EQ(knell_add(listener_, child.pid(), 0, 2), -EEXIST) << "its exit is not returned yet";
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].cookie, 1u);
}

// The exit that knell_add() has read is returned, although nothing else happens.
TEST_F(LiveListenerTest, TheExitBeforeAReuseIsReadAtOnce) {
  Child first;
  ASSERT_EQ(knell_add(listener_, first.pid(), 0, 1), 0) << knell_explain();
  const auto second = first.reuse_pid();
  if (second == nullptr) GTEST_SKIP() << "no permission to choose a pid";
  ASSERT_EQ(knell_add(listener_, second->pid(), 0, 2), 0) << knell_explain();
  EXPECT_EQ(knell_remove(listener_, second->pid()), 0);
  const auto seen = read(1);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].cookie, 1u);
}

}  // namespace
}  // namespace knell::lib
