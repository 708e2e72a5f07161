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

TEST(DurableRequests, NotesOfTwoJournalsAreTwo) {
  DurableRequest of_old = note("a", 90, 1), of_new = note("a", 2, 1);
  std::get<Note>(of_old.what).journal = "old";
  std::get<Note>(of_new.what).journal = "new";
  std::vector<DurableRequest> waiting{of_old};
  EXPECT_FALSE(merge_note(of_new, waiting));
  EXPECT_TRUE(merge_note(note("a", 0, 5), waiting)) << "its counters are of no journal";
  EXPECT_TRUE(merge_note(of_old, waiting));
  EXPECT_EQ(std::get<Note>(waiting[0].what).journal, "old");
  EXPECT_EQ(std::get<Note>(waiting[0].what).failed, 7U);
  waiting = {note("a", 0, 5)};
  EXPECT_TRUE(merge_note(of_new, waiting));
  EXPECT_EQ(std::get<Note>(waiting[0].what).journal, "new");
  EXPECT_EQ(std::get<Note>(waiting[0].what).delivered, 2);
}

// Requests for the name that came in between must be applied first.
TEST(DurableRequests, ANoteIsNotMovedBeforeAnotherRequest) {
  std::vector<DurableRequest> waiting{note("a", 7, 1), {.token = 1, .what = Remove{.name = "a"}}};
  EXPECT_FALSE(merge_note(note("a", 9, 2), waiting));
  EXPECT_FALSE(merge_note({.token = 2, .what = Remove{.name = "b"}}, waiting));
}

}  // namespace
}  // namespace knell::journal
