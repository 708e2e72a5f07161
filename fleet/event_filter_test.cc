// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/event_filter.h"

#include <gtest/gtest.h>

#include <string>

#include "fleet/event_for_test.h"
#include "fleet/json_event.h"

namespace knell::fleet {
namespace {

knell_string bytes(std::string_view text) { return {text.data(), text.size()}; }

knell_event named(const char* comm, int status) {
  knell_event event = exit_for_test(7, status);
  event.comm = bytes(comm);
  event.unit = bytes("cron.service");
  event.parent_comm = bytes("bash");
  event.args = bytes(std::string_view("grep\0-q\0", 8));
  event.has |= KNELL_HAS_DURATION | KNELL_HAS_UID | KNELL_HAS_PPID;
  event.duration_ns = 2'000'000'000;
  event.uid = 33;
  event.ppid = 5;
  event.time_ns = 1'795'402'321'412'000'123;
  event.parent_id = {1, 5, 99, KNELL_ID_STAMP};
  return event;
}

// Converts each event to JSON and back.
JsonEvent again(const knell_event& event) {
  const auto value = parse_json_object(json(event));
  EXPECT_TRUE(value);
  auto read = JsonEvent::parse(value.value_or(JsonValue()));
  EXPECT_TRUE(read);
  return *std::move(read);
}

TEST(FleetJsonEvent, IsTheSameEvent) {
  knell_event killed = named("gr\"ep", 9);
  killed.has |= KNELL_HAS_KILLER | KNELL_HAS_KILLER_PID;
  killed.killed_by.cause = KNELL_CAUSE_OOM;
  killed.killed_by.pid = 4;
  killed.killed_by.comm = bytes("java");
  knell_event fork = event_for_test(KNELL_EVENT_FORK);
  fork.child_id = {1, 8, 80, KNELL_ID_START};
  fork.child_pid = fork.child_tid = 8;
  knell_event lost = event_for_test(KNELL_EVENT_LOST);
  lost.has = KNELL_HAS_COUNT;
  lost.lost_count = 12;
  lost.lost_types = KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;
  lost.lost_from_time_ns = 1'795'402'321'412'000'123;
  lost.lost_until_time_ns = 1'795'402'322'000'000'000;
  knell_event without_details = exit_for_test(7);
  without_details.flags = KNELL_FLAG_DETAILS_LOST;
  for (const knell_event& event : {named("grep", 1 << 8), killed, fork, lost, without_details})
    EXPECT_EQ(json(again(event).get()), json(event));
}

TEST(FleetJsonEvent, RefusesUnknownTypes) {
  EXPECT_FALSE(JsonEvent::parse(*parse_json_object(R"({"type":"later"})")));
  EXPECT_FALSE(JsonEvent::parse(*parse_json_object("{}")));
}

TEST(FleetEventFilter, HasTheRulesOfTheLibrary) {
  const auto passes = [](uint32_t mask, const EventFilter::Predicates& predicates,
                         const knell_event& event) {
    const auto filter = EventFilter::create(mask, predicates);
    EXPECT_TRUE(filter) << filter.error().message();
    return filter && (*filter)->passes(again(event).get());
  };
  const knell_event failed = named("grep", 1 << 8), well = named("grep", 0);
  EXPECT_TRUE(passes(KNELL_EVENT_NONZERO_EXIT, {}, failed));
  EXPECT_FALSE(passes(KNELL_EVENT_NONZERO_EXIT, {}, well));
  EXPECT_FALSE(passes(KNELL_EVENT_EXEC, {}, failed));
  EXPECT_TRUE(passes(KNELL_EVENT_EXIT, {{"comm", {"g*"}}}, well));
  EXPECT_FALSE(passes(KNELL_EVENT_EXIT, {{"comm", {"!g*"}}}, well));
  EXPECT_TRUE(passes(KNELL_EVENT_EXIT, {{"unit", {"x", "cron"}}, {"uid", {"33"}}}, well));
  EXPECT_FALSE(passes(KNELL_EVENT_EXIT, {{"unit", {"cron"}}, {"uid", {"34"}}}, well));
  EXPECT_TRUE(passes(KNELL_EVENT_EXIT, {{"longer", {"1s"}}}, well));
  EXPECT_FALSE(passes(KNELL_EVENT_EXIT, {{"longer", {"3s"}}}, well));
  EXPECT_TRUE(passes(KNELL_EVENT_EXIT, {{"ended", {"1-5"}}}, failed));
  EXPECT_FALSE(passes(KNELL_EVENT_EXIT, {{"ended", {"oom"}}}, failed));
  knell_event without_details = exit_for_test(7);
  EXPECT_FALSE(passes(KNELL_EVENT_EXIT, {{"comm", {"g*"}}}, without_details));
  without_details.flags = KNELL_FLAG_DETAILS_LOST;
  EXPECT_TRUE(passes(KNELL_EVENT_EXIT, {{"comm", {"g*"}}}, without_details));
}

TEST(FleetEventFilter, TestsEachEventAlone) {
  const auto filter = EventFilter::create(KNELL_EVENT_NONZERO_EXIT, {});
  ASSERT_TRUE(filter);
  for (int i = 0; i < 2000; ++i) {
    const knell_event event = exit_for_test(100 + i, (i % 3 == 0 ? 1 : 0) << 8);
    ASSERT_EQ((*filter)->passes(event), i % 3 == 0) << i;
  }
}

TEST(FleetEventFilter, PassesLostEvents) {
  const auto filter = EventFilter::create(KNELL_EVENT_EXEC, {{"comm", {"x"}}});
  ASSERT_TRUE(filter);
  EXPECT_TRUE((*filter)->passes(event_for_test(KNELL_EVENT_LOST)));
}

TEST(FleetEventFilter, LargeEvents) {
  const auto filter = EventFilter::create(KNELL_EVENT_EXIT, {{"ended", {"0"}}});
  ASSERT_TRUE(filter);
  const std::string args(50'000, 'a');
  knell_event event = exit_for_test(7, 0);
  event.args = bytes(args);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE((*filter)->passes(event));
}

}  // namespace
}  // namespace knell::fleet
