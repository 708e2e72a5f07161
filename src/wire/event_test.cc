// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/event.h"

#include <gtest/gtest.h>

#include <string>

#include "wire/event_for_test.h"

namespace knell::wire {
namespace {

std::string frame_of(std::initializer_list<knell_event> events) {
  std::string out;
  EventFrame frame(out);
  for (const knell_event& event : events) EXPECT_TRUE(frame.add(event));
  frame.finish();
  return out;
}

std::string_view payload(const std::string& bytes) {
  const auto frame = parse_frame(bytes);
  EXPECT_TRUE(frame && *frame && (*frame)->bytes == bytes.size());
  return (*frame)->payload;
}

TEST(WireEvent, EveryTypeSurvivesEncodingAndDecoding) {
  for (const uint32_t type : kEveryType) {
    const knell_event event = full_event(type);
    const std::string bytes = frame_of({event});
    EXPECT_LE(bytes.size(), kHeaderBytes + event_bytes(event));
    EventReader reader(payload(bytes));
    knell_event again{};
    ASSERT_TRUE(reader.next(again)) << type;
    EXPECT_TRUE(same(event, again)) << type;
    EXPECT_EQ(again.size, sizeof again);
    EXPECT_FALSE(reader.next(again));
    EXPECT_FALSE(reader.malformed());
  }
}

// An event without a type is a process of a snapshot, and nothing else is.
TEST(WireEvent, ASnapshotHasProcessesOnly) {
  knell_event process = full_event(KNELL_EVENT_EXEC);
  process.type = KNELL_EVENT_NONE;
  for (const Message type : {Message::kEvents, Message::kProcesses}) {
    std::string out;
    EventFrame frame(out, 0, type);
    ASSERT_TRUE(frame.add(process));
    frame.finish();
    EXPECT_EQ((*parse_frame(out))->type, type);
    EventReader reader(payload(out), type);
    knell_event again{};
    EXPECT_EQ(reader.next(again), type == Message::kProcesses);
    EXPECT_EQ(reader.malformed(), type == Message::kEvents);
    if (type == Message::kProcesses) {
      EXPECT_TRUE(same(process, again));
    }
  }
  const std::string exits = frame_of({full_event(KNELL_EVENT_EXIT)});
  EventReader reader(payload(exits), Message::kProcesses);
  knell_event event;
  EXPECT_FALSE(reader.next(event));
  EXPECT_TRUE(reader.malformed());
}

TEST(WireEvent, KeepsAClockStepBetweenEvents) {
  knell_event first = full_event(KNELL_EVENT_EXIT), second = first;
  second.time_ns += 3'600'000'000'000;
  const std::string bytes = frame_of({first, second, first});
  EventReader reader(payload(bytes));
  for (const int64_t time : {first.time_ns, second.time_ns, first.time_ns}) {
    knell_event event;
    ASSERT_TRUE(reader.next(event));
    EXPECT_EQ(event.time_ns, time);
  }
}

TEST(WireEvent, IgnoresUnknownAttributes) {
  const std::string encoded = frame_of({full_event(KNELL_EVENT_EXIT)});
  std::string out;
  FrameWriter frame(out, Message::kEvents, 0);
  frame.attribute(900, std::string_view("news"));
  frame.out().append(payload(encoded));
  frame.finish();
  EventReader reader(payload(out));
  knell_event event;
  EXPECT_TRUE(reader.next(event));
  EXPECT_TRUE(same(event, full_event(KNELL_EVENT_EXIT)));
}

TEST(WireEvent, AnUnknownMandatoryAttributeIsAnError) {
  const std::string encoded = frame_of({full_event(KNELL_EVENT_EXIT)});
  std::string out;
  FrameWriter frame(out, Message::kEvents, 0);
  frame.attribute(900 | kMandatory, std::string_view("news"));
  frame.out().append(payload(encoded));
  frame.finish();
  EventReader reader(payload(out));
  knell_event event;
  EXPECT_FALSE(reader.next(event));
  EXPECT_TRUE(reader.malformed());
}

TEST(WireEvent, ATruncatedPayloadIsBroken) {
  const std::string whole(payload(frame_of({full_event(KNELL_EVENT_EXIT)})));
  const size_t first = attribute_bytes(sizeof(int64_t));  // kEpoch alone is well-formed
  for (size_t size = 1; size < whole.size(); size++) {
    if (size == first) continue;
    const std::string cut =
        whole.substr(0, size);  // a copy, so that the sanitizer finds reads past its end
    EventReader reader(cut);
    knell_event event;
    while (reader.next(event)) {
    }
    EXPECT_TRUE(reader.malformed()) << size;
  }
}

TEST(WireEvent, AnEventWithoutACoreIsBroken) {
  std::string out;
  FrameWriter frame(out, Message::kEvents, 0);
  frame.attribute(kEvent, std::string_view());
  frame.finish();
  EventReader reader(payload(out));
  knell_event event;
  EXPECT_FALSE(reader.next(event));
  EXPECT_TRUE(reader.malformed());
}

TEST(WireFrame, ParseFrameRejectsOtherBytes) {
  const std::string good = frame_of({full_event(KNELL_EVENT_EXIT)});
  for (size_t size = 0; size < good.size(); size++) {
    const auto frame = parse_frame(std::string_view(good).substr(0, size));
    EXPECT_TRUE(frame && !*frame) << size;
  }
  // Lengths that differ, the value of another protocol, too long.
  for (const size_t at : std::initializer_list<size_t>{0, 2, 16, 20, 32}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x41);
    EXPECT_FALSE(parse_frame(bad)) << at;
  }
}

}  // namespace
}  // namespace knell::wire
