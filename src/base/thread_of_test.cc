// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/thread_of.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace knell {
namespace {

TEST(ThreadOf, ReturnsTheProcessOfAThreadOnly) {
  std::optional<pid_t> of_thread;
  std::thread([&] { of_thread = process_of_thread(::gettid()); }).join();
  EXPECT_EQ(of_thread, ::getpid());
  EXPECT_EQ(process_of_thread(::getpid()), std::nullopt);
  EXPECT_EQ(process_of_thread(4'194'304), std::nullopt);  // above any pid
}

}  // namespace
}  // namespace knell
