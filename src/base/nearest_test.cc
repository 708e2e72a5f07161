// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace knell {
namespace {

constexpr std::array<std::string_view, 5> kWords{"fork", "exec", "exit", "coredump",
                                                 "nonzero-exit"};

TEST(Nearest, FindsAWordTypedWithAMistake) {
  EXPECT_EQ(nearest("exot", kWords), "exit");         // changed
  EXPECT_EQ(nearest("exiit", kWords), "exit");        // added
  EXPECT_EQ(nearest("frk", kWords), "fork");          // left out
  EXPECT_EQ(nearest("eixt", kWords), "exit");         // swapped
  EXPECT_EQ(nearest("FORK", kWords), "fork");         // capitals
  EXPECT_EQ(nearest("non", kWords), "nonzero-exit");  // a prefix
  EXPECT_EQ(nearest("nonzero_exit", kWords), "nonzero-exit");
}

TEST(Nearest, ProposesNothingFarOff) {
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(nearest("banana", kWords), "");
  EXPECT_EQ(nearest("zz", kWords), "");
  EXPECT_EQ(nearest(std::string_view("exitexitexitexitexitexitexitexitexit"), kWords), "");
  EXPECT_EQ(nearest("exit", {}), "");
}

}  // namespace
}  // namespace knell
