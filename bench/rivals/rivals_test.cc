// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/rivals/rivals.h"

#include <gtest/gtest.h>
#include <knell/cn_proc.h>

namespace knell::bench {
namespace {

void expect_told(const std::optional<Arrival>& told, uint32_t type, int32_t pid) {
  ASSERT_TRUE(told);
  EXPECT_EQ(told->type, type);
  EXPECT_EQ(told->pid, pid);
}

TEST(Rivals, ForkstatsLines) {
  expect_told(parse_forkstat("16:46:24 exit  26033      0   0.002s mkdir -p"), KNELL_EVENT_EXIT,
              26033);
  expect_told(parse_forkstat("16:46:24 exec  26033                 mkdir -p"), KNELL_EVENT_EXEC,
              26033);
  expect_told(parse_forkstat("16:46:24 fork  26033 child           bash"), KNELL_EVENT_FORK, 26033);
  EXPECT_FALSE(parse_forkstat("16:46:24 fork   6088 parent          bash"));
  EXPECT_FALSE(parse_forkstat("Time     Event   PID Info   Duration Process"));
  EXPECT_FALSE(parse_forkstat("17:04:41 recv ----- nobufs          (No buffer space available)"));
}

TEST(Rivals, ExtracesLines) {
  expect_told(parse_extrace("    26033+ mkdir -p x"), KNELL_EVENT_EXEC, 26033);
  expect_told(parse_extrace("  26033- mkdir exited status=0 time=0.002s"), KNELL_EVENT_EXIT, 26033);
  EXPECT_FALSE(parse_extrace("extrace: out of order message on cpu 0"));
}

TEST(Rivals, SnoopsLines) {
  expect_told(parse_exitsnoop("grep             26039   26036   26039   0.05    code 1"),
              KNELL_EVENT_EXIT, 26039);
  expect_told(parse_exitsnoop("two words       26040   26036   26040   0.05    0"),
              KNELL_EVENT_EXIT, 26040);
  EXPECT_FALSE(parse_exitsnoop("PCOMM            PID     PPID    TID     AGE(s)  EXIT_CODE"));
  expect_told(parse_execsnoop("mkdir            26033  6088     0 /usr/bin/mkdir -p"),
              KNELL_EVENT_EXEC, 26033);
}

}  // namespace
}  // namespace knell::bench
