// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/listen.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

namespace knell::cli {
namespace {

Selection parsed(const std::string& text) {
  auto selection = Selection::parse(text);
  EXPECT_TRUE(selection) << text << ": " << selection.error().line;
  return selection.value_or(Selection());
}

TEST(Selection, EachNumberOfASignalIsAccepted) {
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const auto good = parsed(fmt::format("--signal {}", signal)).check(KNELL_EVENT_EXIT);
    EXPECT_TRUE(good) << good.error().line;
  }
  EXPECT_FALSE(parsed("--signal 65").check(KNELL_EVENT_EXIT));
}

}  // namespace
}  // namespace knell::cli
