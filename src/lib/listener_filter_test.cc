// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/listener_filter.h"

#include <gtest/gtest.h>

namespace knell::lib {
namespace {

uint64_t cookie_of(const ListenerFilter& filter, int32_t pid, uint64_t start) {
  const ListenerFilter::Added* const one = filter.find(pid, start);
  return one == nullptr ? 0 : one->cookie;
}

TEST(ListenerFilter, ProcessesWithOnePidAreFoundByTheirStarts) {
  ListenerFilter filter;
  filter.add(5, 100, 1);
  filter.add(5, 200, 2);
  filter.add(5, 300, 3);
  filter.add(6, 100, 4);
  EXPECT_EQ(cookie_of(filter, 5, 100), 1u);
  EXPECT_EQ(cookie_of(filter, 5, 200), 2u);
  EXPECT_EQ(cookie_of(filter, 5, 300), 3u);
  EXPECT_EQ(cookie_of(filter, 5, 400), 0u);
  EXPECT_EQ(cookie_of(filter, 5, 0), 1u) << "without a start, the earliest one";
  EXPECT_TRUE(filter.remove_exited(5, 200));
  EXPECT_FALSE(filter.remove_exited(5, 200));
  EXPECT_TRUE(filter.remove_exited(5, 0));
  EXPECT_EQ(cookie_of(filter, 5, 0), 3u);
  EXPECT_TRUE(filter.remove_exited(5, 300));
  EXPECT_TRUE(filter.replaced.empty());
  EXPECT_EQ(filter.added.size(), 1u);
}

TEST(ListenerFilter, TheProcessAddedLastIsRemoved) {
  ListenerFilter filter;
  filter.add(5, 100, 1);
  filter.add(5, 200, 2);
  filter.add(5, 300, 3);
  for (const uint64_t last : {3u, 2u, 1u}) {
    EXPECT_EQ(cookie_of(filter, 5, last * 100), last);
    EXPECT_TRUE(filter.remove(5));
    EXPECT_EQ(cookie_of(filter, 5, last * 100), 0u);
  }
  EXPECT_FALSE(filter.remove(5));
  EXPECT_TRUE(filter.replaced.empty());
  EXPECT_TRUE(filter.added.empty());
}

}  // namespace
}  // namespace knell::lib
