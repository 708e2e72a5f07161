// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/shared_bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace knell::hub {
namespace {

TEST(SharedBytes, CopiesShareOneAllocation) {
  ByteStore store;
  SharedBytes first = store.copy("an event");
  const size_t once = store.bytes();
  EXPECT_GT(once, 8u);
  std::vector<SharedBytes> holders(100, first);
  EXPECT_EQ(store.bytes(), once);
  EXPECT_EQ(holders.back().view().data(), first.view().data());
  first = SharedBytes();
  EXPECT_EQ(store.bytes(), once);
  EXPECT_EQ(holders.front().view(), "an event");
  holders.clear();
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(SharedBytes, AssignmentsKeepTheReferenceCount) {
  ByteStore store;
  {
    SharedBytes one = store.copy("one"), other = store.copy("other");
    one = other;
    EXPECT_EQ(one.view(), "other");
    SharedBytes& same = one;
    one = same;
    EXPECT_EQ(one.view(), "other");
    other = std::move(one);
    EXPECT_EQ(other.view(), "other");
    SharedBytes copy(other);
    other = SharedBytes();
    EXPECT_TRUE(other.empty());
    EXPECT_EQ(other.view(), "");
    EXPECT_EQ(copy.view(), "other");
  }
  EXPECT_EQ(store.bytes(), 0u);
}

TEST(SharedBytes, BytesOfLengthZeroAreNotEmpty) {
  ByteStore store;
  const SharedBytes none, nothing = store.copy("");
  EXPECT_TRUE(none.empty());
  EXPECT_FALSE(nothing.empty());
  EXPECT_EQ(nothing.size(), 0u);
  EXPECT_EQ(nothing.view(), "");
}

}  // namespace
}  // namespace knell::hub
