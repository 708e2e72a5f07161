// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/root_starts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>

namespace knell::daemon {
namespace {

class RootStartsTest : public testing::Test {
 protected:
  bool may_name(int32_t pid) const { return starts_.check(std::array{pid}).has_value(); }

  std::map<int32_t, uint64_t> processes_{{40, 1000}, {41, 1001}};
  RootStarts::ReadStart read_ = [this](int32_t pid) {
    const auto found = processes_.find(pid);
    return found == processes_.end() ? 0 : found->second;
  };
  RootStarts starts_{read_};
};

TEST_F(RootStartsTest, RefusesALaterProcessWithThePidOfAFollowedOne) {
  starts_.set(std::array{40, 41});
  EXPECT_TRUE(may_name(40)) << "the same process";
  processes_.erase(40);
  EXPECT_TRUE(may_name(40)) << "only its descendants are left";
  processes_[40] = 2000;
  const auto refused = starts_.check(std::array{41, 40});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EBUSY);
  EXPECT_NE(refused.error().message().find("pid 40"), std::string::npos);
  EXPECT_TRUE(may_name(41));
  EXPECT_TRUE(may_name(42));
  starts_.set(std::array{40, 41});
  EXPECT_FALSE(may_name(40)) << "the earlier process is still followed";
  starts_.set(std::array{41});
  EXPECT_TRUE(may_name(40));
  starts_.set(std::array{40});
  EXPECT_TRUE(may_name(40));
}

TEST_F(RootStartsTest, AreKeptForTheNextDaemon) {
  starts_.set(std::array{40, 41});
  EXPECT_TRUE(starts_.take_changed());
  starts_.set(std::array{40, 41});
  EXPECT_FALSE(starts_.take_changed());
  processes_[40] = 2000;
  RootStarts next(read_);
  next.restore(starts_.save());
  next.set(std::array{40, 41});
  EXPECT_FALSE(next.check(std::array{40}));
  EXPECT_TRUE(next.check(std::array{41}));
  next.restore("cut off");
  EXPECT_TRUE(next.check(std::array{40}));
}

TEST(RootStarts, AreReadFromProc) {
  RootStarts starts;
  starts.set(std::array{static_cast<int32_t>(::getpid())});
  EXPECT_TRUE(starts.check(std::array{static_cast<int32_t>(::getpid())}));
}

}  // namespace
}  // namespace knell::daemon
