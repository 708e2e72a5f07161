// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <type_traits>
#include <utility>

namespace knell {
namespace {

static_assert(!std::is_copy_constructible_v<UniqueFd>);
static_assert(!std::is_convertible_v<UniqueFd, int>);
static_assert(!std::is_convertible_v<UniqueFd, bool>);

UniqueFd open_null() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, DestructorCloses) {
  int number = -1;
  {
    const UniqueFd fd = open_null();
    ASSERT_TRUE(fd);
    number = fd.get();
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, MovedFromIsEmpty) {
  UniqueFd from = open_null();
  const int number = from.get();
  const UniqueFd to = std::move(from);
  EXPECT_FALSE(from);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(to.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, MoveAssignmentClosesTheOldOne) {
  UniqueFd to = open_null();
  UniqueFd from = open_null();
  const int old = to.get(), number = from.get();
  to = std::move(from);
  EXPECT_FALSE(is_open(old));
  EXPECT_TRUE(is_open(number));
  EXPECT_EQ(to.get(), number);
  EXPECT_FALSE(from);  // NOLINT(bugprone-use-after-move)
}

TEST(UniqueFd, MoveAssignmentToItselfKeepsIt) {
  UniqueFd fd = open_null();
  const int number = fd.get();
  UniqueFd& itself = fd;
  fd = std::move(itself);
  EXPECT_EQ(fd.get(), number);
  EXPECT_TRUE(is_open(number));
}

TEST(UniqueFd, ReleaseDoesNotClose) {
  UniqueFd fd = open_null();
  const UniqueFd other(fd.release());
  EXPECT_FALSE(fd);
  EXPECT_TRUE(is_open(other.get()));
}

TEST(UniqueFd, ClosingPreservesErrno) {
  UniqueFd fd = open_null();
  errno = ENOENT;
  fd.reset();
  EXPECT_EQ(errno, ENOENT);
  UniqueFd bad(1 << 28);  // close fails with EBADF
  errno = EINTR;
  bad.reset();
  EXPECT_EQ(errno, EINTR);
}

}  // namespace
}  // namespace knell
