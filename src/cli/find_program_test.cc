// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/find_program.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>

namespace knell::cli {
namespace {

TEST(FindProgram, SearchesAsExecvpDoes) {
  ::setenv("PATH", "/nonexistent:/usr/bin:/bin", 1);
  EXPECT_EQ(find_program("/bin/sh"), "/bin/sh");
  EXPECT_TRUE(find_program("sh")->ends_with("/sh"));
  EXPECT_EQ(find_program("nosuchprogram").error().code, ENOENT);
  EXPECT_EQ(find_program("/nosuch/program").error().code, ENOENT);
  EXPECT_EQ(find_program("/etc/passwd").error().code, EACCES);
  EXPECT_EQ(find_program("/tmp").error().code, EACCES);  // a folder may be "executable"
  EXPECT_EQ(find_program("").error().code, ENOENT);
  ::setenv("PATH", "/etc", 1);
  EXPECT_EQ(find_program("passwd").error().code, EACCES);
  ::unsetenv("PATH");
  EXPECT_TRUE(find_program("sh"));
}

}  // namespace
}  // namespace knell::cli
