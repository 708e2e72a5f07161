// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/translate.h"

#include <gtest/gtest.h>

#include <string_view>

namespace knell::event {
namespace {

knell_string text(std::string_view words) { return {words.data(), words.size()}; }

// What the initial namespace knows of it.
knell_event told() {
  knell_event event{};
  event.type = KNELL_EVENT_EXIT;
  event.pid = event.id.pid = 1000;
  event.tid = 1001;
  event.ppid = event.parent_id.pid = 900;
  event.id.start = 5;
  event.parent_id.start = 4;
  event.has = KNELL_HAS_UID | KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL | KNELL_HAS_STATUS;
  event.uid = 7;
  event.comm = text("it");
  event.parent_comm = text("its parent");
  event.killed_by = {.pid = 800,
                     .uid = 3,
                     .comm = text("killer"),
                     .cause = KNELL_CAUSE_USER,
                     .parent_pid = 799,
                     .parent_comm = text("its parent"),
                     .unit = text("its.service"),
                     .memory_cgroup = text("/limited")};
  event.last_signal = {.signal = 15,
                       .pid = 700,
                       .uid = 3,
                       .comm = text("asker"),
                       .parent_comm = text("its parent"),
                       .ago_ns = 5};
  return event;
}

TEST(Translate, NumbersAreThoseOfTheNamespace) {
  const knell_event event = translate(told(), {.ns = 1,
                                               .pid = 10,
                                               .tid = 11,
                                               .ppid = 9,
                                               .other_pid = 8,
                                               .other_ppid = 6,
                                               .asker_pid = 7,
                                               .asker_ppid = 6});
  EXPECT_EQ(event.pid, 10);
  EXPECT_EQ(event.id.pid, 10);
  EXPECT_EQ(event.id.start, 5u);
  EXPECT_EQ(event.tid, 11);
  EXPECT_EQ(event.ppid, 9);
  EXPECT_EQ(event.parent_id.pid, 9);
  EXPECT_EQ(event.killed_by.pid, 8);
  EXPECT_EQ(event.killed_by.uid, 3u);
  EXPECT_EQ(event.killed_by.parent_pid, 6);
  EXPECT_NE(event.killed_by.parent_comm.data, nullptr);
  EXPECT_NE(event.killed_by.unit.data, nullptr);
  EXPECT_EQ(event.last_signal.pid, 7);
  EXPECT_NE(event.last_signal.parent_comm.data, nullptr);
  EXPECT_EQ(event.uid, 7u);
}

TEST(Translate, AParentThatIsNotInItIsUnknown) {
  const knell_event event = translate(told(), {.ns = 1, .pid = 1, .tid = 1, .other_pid = 8});
  EXPECT_EQ(event.ppid, 0);
  EXPECT_EQ(event.parent_id.pid, 0);
  EXPECT_EQ(event.parent_id.start, 0u);
  EXPECT_EQ(event.parent_comm.data, nullptr);
  EXPECT_NE(event.comm.data, nullptr);
}

TEST(Translate, OfSendersThatAreNotInItOnlyTheCauseIsKnown) {
  const knell_event event = translate(told(), {.ns = 1, .pid = 10, .tid = 11, .ppid = 9});
  EXPECT_NE(event.has & KNELL_HAS_KILLER, 0u);
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  EXPECT_EQ(event.killed_by.pid, 0);
  EXPECT_EQ(event.killed_by.uid, 0u);
  EXPECT_EQ(event.killed_by.comm.data, nullptr);
  EXPECT_EQ(event.killed_by.parent_pid, 0);
  EXPECT_EQ(event.killed_by.parent_comm.data, nullptr);
  EXPECT_EQ(event.killed_by.unit.data, nullptr);
  EXPECT_NE(event.killed_by.memory_cgroup.data, nullptr) << "of the process itself";
  EXPECT_NE(event.has & KNELL_HAS_LAST_SIGNAL, 0u);
  EXPECT_EQ(event.last_signal.signal, 15);
  EXPECT_EQ(event.last_signal.pid, 0);
  EXPECT_EQ(event.last_signal.uid, 0u);
  EXPECT_EQ(event.last_signal.comm.data, nullptr);
  EXPECT_EQ(event.last_signal.parent_comm.data, nullptr);
  EXPECT_EQ(event.last_signal.ago_ns, 5u);
}

TEST(Translate, AParentOfASenderThatIsNotInItIsUnknown) {
  const knell_event event =
      translate(told(), {.ns = 1, .pid = 10, .tid = 11, .ppid = 9, .other_pid = 8, .asker_pid = 7});
  EXPECT_EQ(event.killed_by.pid, 8);
  EXPECT_NE(event.killed_by.comm.data, nullptr);
  EXPECT_EQ(event.killed_by.parent_pid, 0);
  EXPECT_EQ(event.killed_by.parent_comm.data, nullptr);
  EXPECT_EQ(event.last_signal.pid, 7);
  EXPECT_NE(event.last_signal.comm.data, nullptr);
  EXPECT_EQ(event.last_signal.parent_comm.data, nullptr);
}

TEST(Translate, OfASubjectThatIsNotInItTheMemoryCgroupIsUnknown) {
  const knell_event event = translate(told(), {.ns = 1});
  EXPECT_EQ(event.killed_by.memory_cgroup.data, nullptr);
}

TEST(Translate, TheKernelAsKillerIsNoProcess) {
  knell_event from = told();
  from.killed_by = {};
  from.killed_by.cause = KNELL_CAUSE_OOM;
  const knell_event event = translate(from, {.ns = 1, .pid = 10, .tid = 11});
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_OOM));
}

// The first process of a namespace is born of one that is not in it.
TEST(Translate, AForkByOneWhoIsNotInItTellsOfTheChildOnly) {
  knell_event fork = told();
  fork.type = KNELL_EVENT_FORK;
  fork.child_pid = fork.child_id.pid = 1010;
  fork.child_tid = 1010;
  fork.args = fork.exe = fork.cwd = fork.cgroup = fork.unit = fork.user = text("secret");
  const knell_event event = translate(fork, {.ns = 1, .child_pid = 1, .child_tid = 1});
  EXPECT_EQ(event.pid, 0);
  EXPECT_EQ(event.id.start, 0u);
  EXPECT_EQ(event.child_pid, 1);
  EXPECT_EQ(event.child_id.pid, 1);
  EXPECT_EQ(event.child_tid, 1);
  EXPECT_EQ(event.has & KNELL_HAS_UID, 0u);
  EXPECT_EQ(event.uid, 0u);
  for (const knell_string* const one :
       {&event.comm, &event.args, &event.exe, &event.cwd, &event.cgroup, &event.unit, &event.user})
    EXPECT_EQ(one->data, nullptr);
}

TEST(Translate, ATracerIsTranslatedToo) {
  knell_event ptrace = told();
  ptrace.type = KNELL_EVENT_PTRACE;
  ptrace.tracer_pid = 700;
  EXPECT_EQ(translate(ptrace, {.ns = 1, .pid = 10, .other_pid = 6}).tracer_pid, 6);
  EXPECT_EQ(translate(ptrace, {.ns = 1, .pid = 10}).tracer_pid, 0);
}

}  // namespace
}  // namespace knell::event
