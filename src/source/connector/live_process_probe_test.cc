// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/live_process_probe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace knell::source {
namespace {

TEST(LiveProcessProbe, AProcessWhosePidAThreadHasIsGone) {
  LiveProcessProbe probe(-1, system_clock());
  UniqueFd pidfd;
  std::thread([&] {
    EXPECT_EQ(probe.probe(::gettid(), 0, pidfd), ProcessProbe::Sign::kGone);
  }).join();
  EXPECT_EQ(probe.probe(::getpid(), 0, pidfd), ProcessProbe::Sign::kAlive);
  EXPECT_EQ(probe.probe(::getpid(), 1, pidfd), ProcessProbe::Sign::kGone) << "it began later";
}

}  // namespace
}  // namespace knell::source
