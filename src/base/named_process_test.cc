// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/named_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "base/proc_stat.h"

namespace knell {
namespace {

TEST(NamedProcess, OpensAProcessByPidAndStart) {
  const auto stat = read_proc_stat(::getpid());
  ASSERT_TRUE(stat);
  EXPECT_TRUE(open_named_process(::getpid(), 0));
  EXPECT_TRUE(open_named_process(::getpid(), stat->start));
}

TEST(NamedProcess, AReusedPidIsRefused) {
  const auto another = open_named_process(::getpid(), 1);
  ASSERT_FALSE(another);
  EXPECT_EQ(another.error().code, ESRCH);
}

TEST(NamedProcess, AnIdOfNoProcessIsRefused) {
  EXPECT_EQ(open_named_process(0, 0).error().code, EINVAL);
  EXPECT_EQ(open_named_process(-1, 0).error().code, EINVAL);
  const auto absent = open_named_process(0x7ffffff0, 0);  // above any pid_max
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ESRCH);
  std::thread([] {
    const auto thread = open_named_process(::gettid(), 0);
    ASSERT_FALSE(thread);
    EXPECT_EQ(thread.error().code, ESRCH);
    EXPECT_NE(thread.error().message().find("is a thread of"), std::string::npos);
  }).join();
}

TEST(ProcessOfThread, IsReturnedForAThreadOnly) {
  std::optional<pid_t> of_thread;
  std::thread([&] { of_thread = process_of_thread(::gettid()); }).join();
  EXPECT_EQ(of_thread, ::getpid());
  EXPECT_EQ(process_of_thread(::getpid()), std::nullopt);
  EXPECT_EQ(process_of_thread(4'194'304), std::nullopt);  // above any pid
}

}  // namespace
}  // namespace knell
