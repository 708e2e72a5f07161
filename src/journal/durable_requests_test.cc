// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/durable_requests.h"

#include <gtest/gtest.h>

namespace knell::journal {
namespace {

DurableRequest note(std::string name, int64_t delivered, uint64_t failed) {
  return {.token = 0,
          .what = Note{.name = std::move(name), .delivered = delivered, .failed = failed}};
}

TEST(DurableRequests, NotesOfOneNameAreOne) {
  std::vector<DurableRequest> waiting{note("a", 7, 1), note("b", 1, 0)};
  EXPECT_TRUE(merge_note(note("a", 9, 2), waiting));
  EXPECT_TRUE(merge_note(note("a", 8, 0), waiting));
  ASSERT_EQ(waiting.size(), 2U);
  EXPECT_EQ(std::get<Note>(waiting[0].what).delivered, 9);
  EXPECT_EQ(std::get<Note>(waiting[0].what).failed, 3U);
  EXPECT_FALSE(merge_note(note("c", 1, 0), waiting));
}

// Requests for the name that came in between must be applied first.
TEST(DurableRequests, ANoteIsNotMovedBeforeAnotherRequest) {
  std::vector<DurableRequest> waiting{note("a", 7, 1), {.token = 1, .what = Remove{.name = "a"}}};
  EXPECT_FALSE(merge_note(note("a", 9, 2), waiting));
  EXPECT_FALSE(merge_note({.token = 2, .what = Remove{.name = "b"}}, waiting));
}

}  // namespace
}  // namespace knell::journal
