// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/event_filler.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

namespace knell::source {
namespace {

std::string text_of(const knell_string& text) { return {text.data, text.size}; }

class EventFillerTest : public ::testing::Test {
 protected:
  EventFillerTest() {
    full.what = KNELL_EVENT_EXIT;
    full.stamp_ns = 5'000'000'000;
    full.pid = full.tid = 50;
    full.start_boot_ns = 2'345'678'901;
    full.ppid = 40;
    full.parent_start_boot_ns = 1'000'000'000;
    full.has_details = true;
    full.comm = {"sh"};
    full.parent_comm = {"bash"};
    full.u.exit = {0x700, 17};
  }
  const knell_event& filled_event() {
    batch.clear();
    slot = batch.reserve();
    slot->event.mono_ns = full.stamp_ns;
    filler.fill(batch, *slot, full);
    return slot->event;
  }
  Timebase time;
  EventFiller filler{0xabcd, time};
  Batch batch{4};
  Slot* slot = nullptr;
  event::Full full;
};

TEST_F(EventFillerTest, LevelsAreCopiedIntoTheBatch) {
  {
    std::vector<event::NamespacePids> levels{{.ns = 7, .pid = 3}, {.ns = 8, .pid = 1}};
    full.args = "odd";  // text that precedes the levels in the batch
    full.has_args = true;
    full.levels = levels;
    full.levels_known = true;
    filled_event();
  }
  EXPECT_TRUE(slot->levels_known);
  ASSERT_EQ(slot->levels.size(), 2u);
  EXPECT_EQ(slot->levels[0], (event::NamespacePids{.ns = 7, .pid = 3}));
  EXPECT_EQ(slot->levels[1], (event::NamespacePids{.ns = 8, .pid = 1}));
  full.levels = {};
  full.levels_known = false;
  filled_event();
  EXPECT_TRUE(slot->levels.empty()) << "of the event before";
  EXPECT_FALSE(slot->levels_known);
}

TEST_F(EventFillerTest, FillsAllFieldsOfAnExit) {
  const std::string args("sh\0-c\0exit 7\0", 13);
  full.has_args = true;
  full.args = args;
  full.exe = "/usr/bin/dash";
  full.cwd = "/tmp";
  full.tty = 0x8803;
  full.killer = {.cause = KNELL_CAUSE_USER,
                 .signal = SIGTERM,
                 .pid = 60,
                 .uid = 1000,
                 .comm = {"killer"},
                 .parent_pid = 59,
                 .parent_comm = {"its parent"}};
  full.last_sender = full.killer;
  full.last_sender.pid = 61;
  full.last_sender.stamp_ns = full.stamp_ns - 1000;
  full.memory_cgroup = "/limited";
  const knell_event& event = filled_event();
  EXPECT_EQ(event.id.start, 234u) << "ticks, as in /proc";
  EXPECT_EQ(event.id.kind, static_cast<uint32_t>(KNELL_ID_START));
  EXPECT_EQ(event.parent_id.start, 100u);
  EXPECT_EQ(event.duration_ns, 5'000'000'000u - 2'345'678'901u);
  EXPECT_EQ(event.wait_status, 0x700);
  EXPECT_EQ(text_of(event.comm), "sh");
  EXPECT_EQ(text_of(event.parent_comm), "bash");
  EXPECT_EQ(text_of(event.args), args);
  EXPECT_EQ(text_of(event.exe), "/usr/bin/dash");
  EXPECT_EQ(text_of(event.cwd), "/tmp");
  EXPECT_EQ(text_of(event.tty), "pts/3");
  EXPECT_EQ(event.killed_by.pid, 60);
  EXPECT_EQ(text_of(event.killed_by.comm), "killer");
  EXPECT_EQ(event.killed_by.parent_pid, 59);
  EXPECT_EQ(text_of(event.killed_by.parent_comm), "its parent");
  EXPECT_EQ(text_of(event.killed_by.memory_cgroup), "/limited");
  ASSERT_NE(event.has & KNELL_HAS_LAST_SIGNAL, 0u);
  EXPECT_EQ(event.last_signal.signal, SIGTERM);
  EXPECT_EQ(event.last_signal.pid, 61);
  EXPECT_EQ(event.last_signal.uid, 1000u);
  EXPECT_EQ(text_of(event.last_signal.comm), "killer");
  EXPECT_EQ(text_of(event.last_signal.parent_comm), "its parent");
  EXPECT_EQ(event.last_signal.ago_ns, 1000u);
  EXPECT_EQ(event.via, static_cast<uint32_t>(KNELL_VIA_BPF));
}

TEST_F(EventFillerTest, TheLastArgumentEndsWithANul) {
  full.has_args = full.args_truncated = true;
  full.args = std::string_view("sh\0-c\0exi", 9);
  const knell_event& event = filled_event();
  EXPECT_EQ(text_of(event.args), std::string("sh\0-c\0exi\0", 10));
  EXPECT_NE(event.flags & KNELL_FLAG_ARGS_TRUNCATED, 0u);
}

TEST_F(EventFillerTest, UnknownFieldsAreNull) {
  full.has_details = false;
  full.start_boot_ns = 0;
  full.ppid = 0;
  const knell_event& event = filled_event();
  EXPECT_EQ(event.id.kind, static_cast<uint32_t>(KNELL_ID_STAMP));
  EXPECT_EQ(event.comm.data, nullptr);
  EXPECT_EQ(event.args.data, nullptr);
  EXPECT_EQ(event.cgroup.data, nullptr);
  EXPECT_EQ(event.has, static_cast<uint64_t>(KNELL_HAS_STATUS));
}

TEST_F(EventFillerTest, EmptyArgumentsAreNotNull) {
  full.has_args = true;
  const knell_event& event = filled_event();
  EXPECT_NE(event.args.data, nullptr);
  EXPECT_EQ(event.args.size, 0u);
}

TEST_F(EventFillerTest, AnEmptyNameIsNotNull) {
  full.killer = {.cause = KNELL_CAUSE_USER, .signal = SIGTERM, .pid = 60, .parent_pid = 59};
  full.last_sender = full.killer;
  const knell_event& event = filled_event();
  for (const knell_string& name : {event.killed_by.comm, event.killed_by.parent_comm,
                                   event.last_signal.comm, event.last_signal.parent_comm}) {
    EXPECT_NE(name.data, nullptr);
    EXPECT_EQ(name.size, 0u);
  }
}

TEST_F(EventFillerTest, FindsCgroupsByInode) {
  filler.cgroups().learn(4711, "/system.slice/cron.service");
  full.cgroup = 4711;
  const knell_event& event = filled_event();
  EXPECT_EQ(text_of(event.cgroup), "/system.slice/cron.service");
  EXPECT_EQ(text_of(event.unit), "cron.service");
}

TEST_F(EventFillerTest, KeepsLongTextsOfManyEvents) {
  const std::string args(4096, 'x');
  Batch many(1024);
  full.has_args = true;
  full.args = args;
  for (int i = 0; i < 1024; ++i) filler.fill(many, *many.reserve(), full);
  for (size_t i = 0; i < 1024; ++i) ASSERT_EQ(many[i].event.args.size, 4097u);
}

}  // namespace
}  // namespace knell::source
