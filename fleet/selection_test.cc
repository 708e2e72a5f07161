// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/selection.h"

#include <gtest/gtest.h>

namespace knell::fleet {
namespace {

Result<Selector> select(std::vector<std::string> words) {
  Selection selection;
  CommandLine line("test");
  selection.add_options(line, "exit");
  EXPECT_TRUE(line.parse(std::move(words)));
  return selection.selector();
}

TEST(FleetSelection, RefusesWhatHostsWouldIgnore) {
  const auto longest = select({"-C", std::string(kMostTextBytes, 'a')});
  EXPECT_TRUE(longest) << longest.error().message();
  const auto too_long = select({"-u", std::string(kMostTextBytes + 1, 'a')});
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, EINVAL);
  EXPECT_TRUE(too_long.error().message().contains("--unit")) << too_long.error().message();
  EXPECT_TRUE(too_long.error().message().contains("1024")) << too_long.error().message();

  std::vector<std::string> words;
  for (size_t i = 0; i < kMostPredicates; ++i) words.insert(words.end(), {"-C", "a"});
  EXPECT_TRUE(select(words));
  words.insert(words.end(), {"--exe", "/bin/a"});
  const auto too_many = select(words);
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().code, EINVAL);
  EXPECT_TRUE(too_many.error().message().contains("64")) << too_many.error().message();
}

}  // namespace
}  // namespace knell::fleet
