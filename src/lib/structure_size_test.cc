// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/structure_size.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <new>

namespace knell::lib {
namespace {

using testing::HasSubstr;

// Memory for a structure, followed by an inaccessible page: access past its end faults.
class EndOfMemory {
 public:
  explicit EndOfMemory(size_t size)
      : pages_(static_cast<char*>(::mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))),
        at_(pages_ + kPage - size) {
    EXPECT_EQ(::mprotect(pages_ + kPage, kPage, PROT_NONE), 0);
  }
  EndOfMemory(const EndOfMemory&) = delete;
  EndOfMemory& operator=(const EndOfMemory&) = delete;
  ~EndOfMemory() { ::munmap(pages_, 2 * kPage); }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(at_);
  }

 private:
  static constexpr size_t kPage = 65536;  // the largest page size
  char* pages_;
  char* at_;
};

template <class T>
class SizedStructure : public testing::Test {};
using All =
    testing::Types<knell_options, knell_replay_options, knell_event, knell_stats, knell_recording>;
TYPED_TEST_SUITE(SizedStructure, All);

TYPED_TEST(SizedStructure, OfTheFirstSizeIsFilledToItsEnd) {
  constexpr size_t kFirst = StructureSize<TypeParam>::kFirstSize;
  EndOfMemory memory(kFirst);
  auto* given = memory.as<TypeParam>();
  given->size = kFirst;
  TypeParam today{};
  std::memset(static_cast<void*>(&today), 1, sizeof today);
  ASSERT_TRUE(fill(given, today));
  EXPECT_EQ(given->size, kFirst);
  EXPECT_EQ(reinterpret_cast<const char*>(given)[kFirst - 1], 1);
}

TYPED_TEST(SizedStructure, OfALaterVersionIsFilledAsFarAsKnown) {
  alignas(TypeParam) std::array<char, sizeof(TypeParam) + 8> bytes{};
  auto* given = new (bytes.data()) TypeParam{};
  given->size = bytes.size();
  bytes.back() = 7;
  ASSERT_TRUE(fill(given, TypeParam{}));
  EXPECT_EQ(given->size, sizeof(TypeParam));
  EXPECT_EQ(bytes.back(), 7);
}

TYPED_TEST(SizedStructure, WithoutASizeIsRefused) {
  TypeParam given{};
  given.size = StructureSize<TypeParam>::kFirstSize - 1;
  const auto filled = fill(&given, TypeParam{});
  ASSERT_FALSE(filled);
  EXPECT_EQ(filled.error().code, EINVAL);
  EXPECT_THAT(
      filled.error().message(),
      HasSubstr("set it to sizeof(struct " + std::string(StructureSize<TypeParam>::kName) + ")"));
}

TEST(CopyRequest, UsesDefaultsForMissingMembers) {
  constexpr size_t kFirst = StructureSize<knell_options>::kFirstSize;
  EndOfMemory memory(kFirst);
  auto* given = memory.as<knell_options>();
  given->size = kFirst;
  given->events = KNELL_EVENT_EXEC;
  const auto today = copy_request(given);
  ASSERT_TRUE(today);
  EXPECT_EQ(today->events, uint32_t{KNELL_EVENT_EXEC});
  EXPECT_EQ(today->size, sizeof(knell_options));
}

TEST(CopyRequest, RefusesUnknownMembersThatAreNotZero) {
  struct Later {
    knell_options today = KNELL_OPTIONS_INIT;
    uint64_t more = 0;
  } later;
  later.today.size = sizeof later;
  EXPECT_TRUE(copy_request(&later.today));
  later.more = uint64_t{1} << 63;
  const auto refused = copy_request(&later.today);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, E2BIG);
  EXPECT_THAT(refused.error().message(), HasSubstr("does not know"));
  later.today.size = 4097;
  EXPECT_EQ(copy_request(&later.today).error().code, E2BIG);
}

TEST(CallerEvents, MissingMembersAreUnknown) {
  constexpr size_t kFirst = StructureSize<knell_event>::kFirstSize;
  EndOfMemory memory(kFirst);
  auto* older = memory.as<knell_event>();
  older->size = kFirst;
  older->has = KNELL_HAS_STATUS | KNELL_HAS_LAST_SIGNAL | uint64_t{1} << 63;
  older->flags = KNELL_FLAG_RECOVERED | UINT32_C(1) << 31;
  older->pid = 7;
  const knell_event* const events[] = {older};
  const auto given = CallerEvents::create(events);
  ASSERT_TRUE(given);
  const knell_event& today = *given->get()[0];
  EXPECT_EQ(today.size, sizeof(knell_event));
  EXPECT_EQ(today.has, uint64_t{KNELL_HAS_STATUS});
  EXPECT_EQ(today.flags, KNELL_FLAG_RECOVERED);
  EXPECT_EQ(today.pid, 7);
  EXPECT_EQ(today.tty.data, nullptr);
}

TEST(CallerEvents, AreNotCopiedIfTheSizeIsCurrent) {
  knell_event event{};
  event.size = sizeof event;
  const knell_event* const events[] = {&event};
  EXPECT_EQ(CallerEvents::create(events)->get()[0], &event);
}

}  // namespace
}  // namespace knell::lib
