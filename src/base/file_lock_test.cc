// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/file_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/unique_fd.h"

namespace knell {
namespace {

class FileLockTest : public testing::Test {
 protected:
  FileLockTest() { fd_.reset(::mkstemp(path_.data())); }
  ~FileLockTest() override { ::unlink(path_.c_str()); }
  UniqueFd open() const { return UniqueFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC)); }

  std::string path_ = std::filesystem::temp_directory_path() / "knell-lock-XXXXXX";
  UniqueFd fd_;
};

TEST_F(FileLockTest, OnlyOneHasIt) {
  EXPECT_FALSE(is_locked(path_));
  ASSERT_TRUE(lock_file(fd_.get()));
  EXPECT_TRUE(is_locked(path_));
  const UniqueFd other = open();
  EXPECT_FALSE(lock_file(other.get()));
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_TRUE(is_locked(path_)) << "a test must not take or release it";
}

TEST_F(FileLockTest, IsHeldUntilTheLastCopyIsClosed) {
  ASSERT_TRUE(lock_file(fd_.get()));
  UniqueFd copy(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  fd_.reset();
  open();  // and closed: this would release a lock of F_SETLK
  EXPECT_TRUE(is_locked(path_));
  copy.reset();
  EXPECT_FALSE(is_locked(path_));
}

TEST_F(FileLockTest, AFileThatIsNotThereIsNotLocked) { EXPECT_FALSE(is_locked(path_ + ".no")); }

}  // namespace
}  // namespace knell
