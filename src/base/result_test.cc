// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>

namespace knell {
namespace {

Result<int> seven() { return 7; }
Result<int> broken() { return make_error(EMFILE, "open the process connector"); }

Result<void> try_it(Result<int> (*call)()) {
  KNELL_TRY(call());
  return {};
}
Result<int> add_one(Result<int> (*call)()) {
  KNELL_ASSIGN(const int number, call());
  KNELL_ASSIGN(const int again, call());
  return number + again - number + 1;
}
Result<std::unique_ptr<int>> move_only() {
  KNELL_ASSIGN(auto owner, Result<std::unique_ptr<int>>(std::make_unique<int>(3)));
  return owner;
}

TEST(Result, TryReturnsTheError) {
  EXPECT_TRUE(try_it(seven));
  const auto result = try_it(broken);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, EMFILE);
}

TEST(Result, AssignTakesTheValueOrReturnsTheError) {
  EXPECT_EQ(add_one(seven).value(), 8);
  EXPECT_EQ(add_one(broken).error().context, "open the process connector");
  EXPECT_EQ(**move_only(), 3);
}

TEST(Result, MessageSaysWhatFailedAndWhy) {
  const std::string message = broken().error().message();
  EXPECT_TRUE(message.starts_with("cannot open the process connector: ")) << message;
  EXPECT_NE(message.find("Too many open files"), std::string::npos);
}

TEST(Result, ASentenceHasNoErrnoText) {
  const Result<int> result = say(EINVAL, "'exot' is not an event");
  EXPECT_EQ(result.error().code, EINVAL);
  EXPECT_EQ(result.error().message(), "'exot' is not an event");
}

TEST(Result, ErrnoIsReadBeforeItChanges) {
  errno = ENOENT;
  const Result<int> result = errno_error("a context long enough that it has to be allocated");
  EXPECT_EQ(result.error().code, ENOENT);
}

TEST(CheckDeathTest, PrintsTheCondition) {
  KNELL_CHECK(1 + 1 == 2);
  EXPECT_DEATH(KNELL_CHECK(1 + 1 == 3), "1 \\+ 1 == 3");
}

}  // namespace
}  // namespace knell
