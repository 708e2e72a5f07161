// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/children.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace knell {
namespace {

class ChildrenTest : public testing::Test {
 protected:
  ChildrenTest() { EXPECT_EQ(::pipe2(held_.data(), O_CLOEXEC), 0); }
  ~ChildrenTest() override {
    ::close(held_[1]);
    ::close(held_[0]);
    if (child_ > 0) ::waitpid(child_, nullptr, 0);
  }
  // A child that lives until the end of the test.
  pid_t fork() {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(held_[1]);
      char byte = 0;
      ::_exit(::read(held_[0], &byte, 1) == 0 ? 0 : 1);
    }
    return pid;
  }
  const UniqueFd proc_{::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  std::array<int, 2> held_{};
  pid_t child_ = 0;
};

TEST_F(ChildrenTest, AreFoundWhicheverThreadForkedThem) {
  const std::string file = "/proc/self/task/" + std::to_string(::getpid()) + "/children";
  if (::access(file.c_str(), R_OK) != 0) GTEST_SKIP() << "the kernel has no CONFIG_PROC_CHILDREN";
  EXPECT_FALSE(may_have_children(proc_.get(), ::getpid()));
  std::thread thread([&] {
    child_ = fork();
    EXPECT_TRUE(may_have_children(proc_.get(), ::getpid()));
  });
  thread.join();
  // The child now belongs to another thread.
  EXPECT_TRUE(may_have_children(proc_.get(), ::getpid()));
  EXPECT_FALSE(may_have_children(proc_.get(), child_));
  EXPECT_EQ(children_of(proc_.get(), ::getpid()), std::vector{child_});
  EXPECT_EQ(children_of(proc_.get(), child_), std::vector<int32_t>());
}

TEST_F(ChildrenTest, OfAProcessThatIsGoneAreUnknown) {
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(gone, nullptr, 0), gone);
  EXPECT_TRUE(may_have_children(proc_.get(), gone));
  EXPECT_EQ(children_of(proc_.get(), gone), std::nullopt);
}

}  // namespace
}  // namespace knell
