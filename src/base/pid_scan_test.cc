// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/pid_scan.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <string>

namespace knell {
namespace {

class PidScanTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(path_.data()), nullptr);
    for (const char* name : {"self", "12a", "0", "-5", "99999999999"}) add(name);
    for (int pid = 1; pid <= kPids; ++pid) add(std::to_string(pid));
  }
  void TearDown() override {
    for (const std::string& name : names_) ::rmdir((path_ + "/" + name).c_str());
    ::rmdir(path_.c_str());
  }
  void add(const std::string& name) {
    names_.push_back(name);
    ASSERT_EQ(::mkdir((path_ + "/" + name).c_str(), 0700), 0);
  }
  PidList list() const {
    return PidList(UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  }

  static constexpr int kPids = 200;
  std::string path_ = "/tmp/knell-pids-XXXXXX";
  std::vector<std::string> names_;
};

TEST_F(PidScanTest, ListsOnlyNumbers) {
  std::set<int32_t> pids;
  PidList list = this->list();
  while (const int32_t pid = list.next()) EXPECT_TRUE(pids.insert(pid).second) << pid;
  EXPECT_EQ(pids.size(), static_cast<size_t>(kPids));
  EXPECT_EQ(*pids.begin(), 1);
  EXPECT_EQ(*pids.rbegin(), kPids);
}

TEST_F(PidScanTest, FailsWhenTheFolderCannotBeRead) {
  PidScan scan;
  scan.begin(PidList(UniqueFd()));
  ScanBudget all;
  EXPECT_FALSE(scan.advance(all, 1, [](int32_t) {}));
  EXPECT_FALSE(scan.running());
  EXPECT_TRUE(scan.failed());
}

TEST_F(PidScanTest, GoesOnWhereItStopped) {
  PidScan scan;
  scan.begin(list());
  std::set<int32_t> pids;
  int pieces = 0;
  for (bool ended = false; !ended; ++pieces) {
    ScanBudget budget{.left = 20};
    ended = scan.advance(budget, 2, [&](int32_t pid) { EXPECT_TRUE(pids.insert(pid).second); });
    EXPECT_LE(pids.size(), static_cast<size_t>(pieces + 1) * 10);
  }
  EXPECT_EQ(pids.size(), static_cast<size_t>(kPids));
  EXPECT_EQ(pieces, kPids / 10 + 1);
  EXPECT_FALSE(scan.running());
}

TEST_F(PidScanTest, MayBeCancelledByTheVisit) {
  PidScan scan;
  scan.begin(list());
  ScanBudget all;
  int visits = 0;
  EXPECT_FALSE(scan.advance(all, 1, [&](int32_t) {
    if (++visits == 3) scan.cancel();
  }));
  EXPECT_EQ(visits, 3);
  EXPECT_FALSE(scan.running());
}

}  // namespace
}  // namespace knell
