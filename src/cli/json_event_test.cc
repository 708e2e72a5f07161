// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/json_event.h"

#include <gtest/gtest.h>

#include <knell/knell.hpp>

#include "cli/event_for_test.h"

namespace knell::cli {
namespace {

EventForTest exit_event() {
  EventForTest made;
  made.process(1260, 367).exit(9).lasted(203'007'653).comm("sh").parent_comm("bash");
  made.args(std::string("sh\0-c\0x \"y\"\0", 12)).user("root").unit("cron.service");
  made.killed_by(8103, 33, "bash");
  made.event.id = {.boot = 0x6fa276d3, .pid = 1260, .start = 490014, .kind = KNELL_ID_START};
  made.event.parent_id = {.boot = 0x6fa276d3, .pid = 367, .start = 77, .kind = KNELL_ID_STAMP};
  made.event.time_ns = 1'790'000'000'123'456'789;
  return made;
}

TEST(JsonEvent, IsTheEventThatWasPrinted) {
  const EventForTest made = exit_event();
  JsonEvent read;
  ASSERT_TRUE(read.parse(json(made)));
  const knell_event& event = read.event();
  EXPECT_EQ(event.type, static_cast<uint32_t>(KNELL_EVENT_EXIT));
  EXPECT_EQ(event.time_ns, made.event.time_ns);
  EXPECT_EQ(event.mono_ns, static_cast<uint64_t>(made.event.time_ns));
  EXPECT_EQ(text(event.id), text(made.event.id));
  EXPECT_EQ(text(event.parent_id), text(made.event.parent_id));
  EXPECT_EQ(event.pid, 1260);
  EXPECT_EQ(event.ppid, 367);
  EXPECT_EQ(view(event.comm), "sh");
  EXPECT_EQ(view(event.args), view(made.event.args));
  EXPECT_EQ(ended(event), "SIGKILL");
  EXPECT_EQ(duration(event), duration(made));
  EXPECT_EQ(event.killed_by.pid, 8103);
  EXPECT_EQ(event.killed_by.uid, 33U);
  EXPECT_EQ(view(event.killed_by.comm), "bash");
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
}

TEST(JsonEvent, NamesHaveTheHost) {
  std::string line = json(exit_event());
  line.insert(1, "\"host\":\"web1\",");
  JsonEvent read;
  ASSERT_TRUE(read.parse(line));
  EXPECT_EQ(view(read.event().comm), "web1:sh");
  EXPECT_EQ(view(read.event().parent_comm), "web1:bash");
}

TEST(JsonEvent, ForksAndLosses) {
  EventForTest fork;
  fork.process(10, 1).fork(10, 11);
  fork.event.time_ns = 1;
  fork.event.child_id = {.boot = 1, .pid = 11, .start = 5, .kind = KNELL_ID_START};
  JsonEvent read;
  ASSERT_TRUE(read.parse(json(fork)));
  EXPECT_EQ(read.event().child_pid, 11);
  EXPECT_EQ(text(read.event().child_id), text(fork.event.child_id));
  EventForTest lost;
  lost.event.type = KNELL_EVENT_LOST;
  lost.event.has |= KNELL_HAS_COUNT;
  lost.event.lost_count = 12;
  ASSERT_TRUE(read.parse(json(lost)));
  EXPECT_EQ(read.event().lost_count, 12U);
}

TEST(JsonEvent, OtherLinesAreNoEvents) {
  JsonEvent read;
  for (const char* line :
       {"", "{}", "[]", "null", "{\"type\":\"exit\"}", "{\"type\":\"exec,exit\",\"time\":\"@5\"}",
        "{\"type\":\"exit\",\"time\":\"@5\",\"pid\":null}",
        "{\"type\":\"exit\",\"time\":\"@5\",\"pid\":-1}",
        "{\"type\":\"fork\",\"time\":\"@5\",\"pid\":7}",
        "{\"type\":\"exit\",\"time\":\"@5\",\"pid\":7"})
    EXPECT_FALSE(read.parse(line)) << line;
  ASSERT_TRUE(read.parse("{\"type\":\"exit\",\"time\":\"@5\",\"pid\":7,\"id\":\"x\",\"args\":7}"));
  EXPECT_EQ(read.event().id.kind, static_cast<uint32_t>(KNELL_ID_NONE));
  EXPECT_EQ(read.event().args.data, nullptr);
  EXPECT_EQ(read.event().has & KNELL_HAS_STATUS, 0U);
}

}  // namespace
}  // namespace knell::cli
