// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/privilege.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace knell {
namespace {

uint64_t bit(int capability) { return uint64_t{1} << capability; }

TEST(Privilege, NamesCapabilities) {
  EXPECT_EQ(capabilities_text(0), "no capabilities");
  EXPECT_EQ(capabilities_text(bit(CAP_KILL) | bit(CAP_NET_ADMIN)), "CAP_KILL, CAP_NET_ADMIN");
  EXPECT_EQ(capabilities_text(UINT64_MAX), "all capabilities");
  EXPECT_EQ(capabilities_text(UINT64_MAX & ~bit(CAP_SYS_ADMIN)),
            "all capabilities but CAP_SYS_ADMIN");
}

// In a child process, since dropped capabilities cannot be regained.
TEST(Privilege, KeepsOnlyWhatIsNamed) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto before = effective_capabilities();
    if (!before || !keep_capabilities({CAP_NET_ADMIN, CAP_SYS_PTRACE})) ::_exit(1);
    const auto after = effective_capabilities();
    if (!after || *after != (*before & (bit(CAP_NET_ADMIN) | bit(CAP_SYS_PTRACE)))) ::_exit(2);
    if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) ::_exit(3);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace knell
