// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/connector_source.h"

#include <gtest/gtest.h>

// tests/system/connector_source_test.cc reads the live kernel.
namespace knell::source {
namespace {

constexpr uint32_t kNonzero = KNELL_EVENT_NONZERO_EXIT;
constexpr uint32_t kNames = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_COMM |
                            KNELL_EVENT_UID | KNELL_EVENT_GID | KNELL_EVENT_SID;

SourceRequest request(uint32_t mask, uint32_t details = KNELL_DETAILS_STATUS) {
  return {.mask = mask, .level = KNELL_LEVEL_PROCESS, .details = details};
}

TEST(ThreadRequest, DetailsNeedForksAndChanges) {
  for (const uint32_t details : {KNELL_DETAILS_NAMES, KNELL_DETAILS_FULL}) {
    const ThreadRequest asked = thread_request(request(kNonzero, details));
    EXPECT_EQ(asked.mask, kNonzero | KNELL_EVENT_COREDUMP | kNames);
    EXPECT_FALSE(asked.forks_of_threads_only);
  }
}

TEST(ThreadRequest, UnderFollowsForks) {
  SourceRequest under = request(kNonzero);
  under.roots = {{1}};
  const ThreadRequest asked = thread_request(under);
  EXPECT_EQ(asked.mask, kNonzero | KNELL_EVENT_COREDUMP | KNELL_EVENT_FORK);
  EXPECT_FALSE(asked.forks_of_threads_only);
}

TEST(ThreadRequest, OwnersNeedBirthsChangesAndEnds) {
  for (const bool namespaces : {false, true}) {
    SourceRequest wanted = request(KNELL_EVENT_EXEC);
    wanted.owners = !namespaces;
    wanted.namespaces = namespaces;
    const ThreadRequest asked = thread_request(wanted);
    EXPECT_EQ(asked.mask & (KNELL_EVENT_FORK | KNELL_EVENT_UID | KNELL_EVENT_EXIT),
              KNELL_EVENT_FORK | KNELL_EVENT_UID | KNELL_EVENT_EXIT);
    EXPECT_FALSE(asked.forks_of_threads_only);
  }
}

TEST(ThreadRequest, LifetimesNeedAllForksAndExits) {
  SourceRequest wanted = request(kNonzero);
  wanted.lifetimes = true;
  const ThreadRequest asked = thread_request(wanted);
  EXPECT_EQ(asked.mask & (KNELL_EVENT_FORK | KNELL_EVENT_EXIT),
            KNELL_EVENT_FORK | KNELL_EVENT_EXIT);
  EXPECT_FALSE(asked.forks_of_threads_only);
}

TEST(ThreadRequest, ExitsWithDetailsStatusNeedThreadCounts) {
  const ThreadRequest asked = thread_request(request(KNELL_EVENT_EXIT));
  EXPECT_EQ(asked.mask, KNELL_EVENT_EXIT | KNELL_EVENT_COREDUMP | KNELL_EVENT_FORK);
  EXPECT_TRUE(asked.forks_of_threads_only);
}

TEST(ThreadRequest, TheRawLevelAddsNoTypes) {
  SourceRequest raw = request(KNELL_EVENT_EXIT);
  raw.level = KNELL_LEVEL_RAW;
  EXPECT_EQ(thread_request(raw).mask, static_cast<uint32_t>(KNELL_EVENT_EXIT));
  EXPECT_FALSE(thread_request(raw).forks_of_threads_only);
}

TEST(ThreadRequest, EventsOtherThanExitsAddNoTypes) {
  EXPECT_EQ(thread_request(request(KNELL_EVENT_EXEC)).mask,
            static_cast<uint32_t>(KNELL_EVENT_EXEC));
}

}  // namespace
}  // namespace knell::source
