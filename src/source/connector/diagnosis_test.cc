// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/diagnosis.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace knell::source {
namespace {

constexpr uint64_t kInitialPid = 4026531836, kInitialUser = 4026531837, kOther = 4026532201;
const Environment kHome{{.net = 1, .pid = kInitialPid, .user = kInitialUser}, true};
const Environment kOtherPid{{.net = 1, .pid = kOther, .user = kInitialUser}, true};
const Environment kOtherUser{{.net = 1, .pid = kInitialPid, .user = kOther}, true};
const Environment kUnlisted{{.net = 1, .pid = kInitialPid, .user = kInitialUser}, false};
const Environment kBlind{};  // no /proc

Error failed(int code) { return {code, "do it", false}; }

bool mentions(const Obstacle& obstacle, const char* words) {
  return (obstacle.reason + "|" + obstacle.advice).contains(words);
}

TEST(Diagnosis, ExplainsEachObstacle) {
  struct Case {
    Step step;
    int error;
    Environment here;
    int code;
    const char* words;
  };
  const Case cases[] = {
      {Step::kOpen, EPROTONOSUPPORT, kHome, EPROTONOSUPPORT, "CONFIG_CONNECTOR"},
      {Step::kOpen, EMFILE, kHome, EMFILE, "ulimit -n"},
      {Step::kJoin, EPERM, kHome, EPERM, "only root"},
      {Step::kJoin, EPERM, kOtherUser, EPROTONOSUPPORT, "initial user namespace"},
      {Step::kRequest, ECONNREFUSED, kHome, EPROTONOSUPPORT, "initial network namespace"},
      {Step::kRequest, ECONNREFUSED, kHome, EPROTONOSUPPORT, "--network=host"},
      {Step::kAck, 0, kOtherPid, EPROTONOSUPPORT, "initial pid namespace"},
      {Step::kAck, 0, kOtherPid, EPROTONOSUPPORT, "--pid=host"},
      {Step::kAck, 0, kOtherUser, EPROTONOSUPPORT, "initial user namespace"},
      {Step::kAck, 0, kUnlisted, EPROTONOSUPPORT, "CONFIG_PROC_EVENTS"},
      {Step::kAck, 0, kHome, EPROTONOSUPPORT, "count of listeners"},
      {Step::kAck, 0, kBlind, EPROTONOSUPPORT, "count of listeners"},
      {Step::kRequest, ENOMEM, kHome, ENOMEM, "do it"},
  };
  for (const Case& c : cases) {
    const Obstacle obstacle = explain(c.step, failed(c.error), c.here);
    EXPECT_EQ(obstacle.code, c.code) << obstacle.reason;
    EXPECT_TRUE(mentions(obstacle, c.words)) << c.words << " in: " << obstacle.reason;
  }
}

TEST(Diagnosis, BlamesTheListenerCountOnlyWithoutAnotherReason) {
  EXPECT_TRUE(explain(Step::kAck, {}, kHome).count_below_one);
  EXPECT_TRUE(explain(Step::kAck, {}, kBlind).count_below_one);
  EXPECT_FALSE(explain(Step::kAck, {}, kOtherPid).count_below_one);
  EXPECT_FALSE(explain(Step::kAck, {}, kUnlisted).count_below_one);
  EXPECT_FALSE(explain(Step::kJoin, failed(EPERM), kHome).count_below_one);
}

TEST(Diagnosis, PutsReasonAndAdviceOnOneLine) {
  EXPECT_EQ(obstacle_error({EPERM, "why", "what helps"}).error().message(), "why; what helps");
  EXPECT_EQ(obstacle_error({EIO, "why", ""}).error().message(), "why");
}

}  // namespace
}  // namespace knell::source
