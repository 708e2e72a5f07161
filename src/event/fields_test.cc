// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/fields.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <set>
#include <tuple>

namespace knell::event {
namespace {

// The number of members of a structure: as many values as its braces accept.
struct Any {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor)
};
template <class T, class... Values>
consteval size_t members_of() {
  if constexpr (requires { T{Values()..., Any()}; })
    return members_of<T, Values..., Any>();
  else
    return sizeof...(Values);
}

size_t members_in(bool (*in)(Section)) {
  std::set<uint16_t> offsets;
  for (const Field& field : kFields)
    if (in(field.section)) offsets.insert(field.member.offset);
  return offsets.size();
}

TEST(Fields, EveryMemberHasARow) {
  constexpr size_t kOfTheListener = 2;  // size, cookie
  EXPECT_EQ(members_in([](Section section) {
              return section != Section::kKilledBy && section != Section::kLastSignal;
            }),
            members_of<knell_event>() - kOfTheListener);
  EXPECT_EQ(members_in([](Section section) { return section == Section::kKilledBy; }),
            members_of<decltype(knell_event::killed_by)>());
  EXPECT_EQ(members_in([](Section section) { return section == Section::kLastSignal; }),
            members_of<decltype(knell_event::last_signal)>());
}

TEST(Fields, EveryBitOfHasIsOfOneRow) {
  uint64_t all = 0;
  for (const Field& field : kFields) {
    EXPECT_EQ(all & field.known.has, 0u) << field.name;
    EXPECT_LE(std::popcount(field.known.has), 1) << field.name;
    all |= field.known.has;
  }
  EXPECT_EQ(all, KNELL_HAS_UID | KNELL_HAS_GID | KNELL_HAS_STATUS | KNELL_HAS_DURATION |
                     KNELL_HAS_KILLER | KNELL_HAS_COUNT | KNELL_HAS_LAST_SIGNAL | KNELL_HAS_PPID |
                     KNELL_HAS_KILLER_PID | KNELL_HAS_KILLER_UID | KNELL_HAS_KILLER_PPID |
                     KNELL_HAS_LAST_SIGNAL_PID | KNELL_HAS_LAST_SIGNAL_UID);
}

TEST(Fields, MembersDoNotOverlapOnTheWire) {
  // Attribute, type and byte -> offset of the member.
  std::map<std::tuple<uint16_t, uint32_t, size_t>, uint16_t> taken;
  for (const Field& field : kFields) {
    if (field.wire.attribute == 0) continue;
    // Some attributes belong to several types, each with a member of its own at the same place.
    const uint32_t types = field.wire.attribute == 54 ? types_of(field.section) : 0;
    EXPECT_EQ(field.is(Member::Kind::kString), field.wire.at == Wire::kWhole) << field.name;
    const size_t size = field.is(Member::Kind::kId) ? 24 : field.member.size;
    const size_t at = field.is_text() ? 0 : field.wire.at;
    for (size_t byte = at; byte < at + size; byte++) {
      const auto [place, made] =
          taken.try_emplace({field.wire.attribute, types, byte}, field.member.offset);
      EXPECT_EQ(place->second, field.member.offset) << field.name << " at byte " << byte;
    }
  }
}

// Each number that may be unknown has a bit; without the bit the number is 0.
TEST(Fields, PresenceFollowsFromTheValues) {
  knell_event event{};
  event.has = KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL | KNELL_HAS_KILLER_UID | KNELL_HAS_PPID;
  event.killed_by.uid = 5;
  const uint64_t groups = KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL;
  note_presence<kFields>(event);
  EXPECT_EQ(event.has, groups);
  event.ppid = 1;
  event.killed_by.pid = 2;
  event.last_signal.pid = 3;
  note_presence<kFields>(event);
  EXPECT_EQ(event.has, groups | KNELL_HAS_PPID | KNELL_HAS_KILLER_PID | KNELL_HAS_KILLER_UID |
                           KNELL_HAS_LAST_SIGNAL_PID | KNELL_HAS_LAST_SIGNAL_UID);
}

}  // namespace
}  // namespace knell::event
