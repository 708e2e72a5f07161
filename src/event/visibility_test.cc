// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/visibility.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace knell::event {
namespace {

knell_string text(std::string_view words) { return {words.data(), words.size()}; }

// The event as reported in the initial namespace.
knell_event full_event() {
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
                       .comm = text("sender"),
                       .parent_comm = text("its parent"),
                       .ago_ns = 5};
  return event;
}

TEST(Translate, UsesTheNumbersOfTheNamespace) {
  const knell_event event = translate(full_event(), {.ns = 1,
                                                     .pid = 10,
                                                     .tid = 11,
                                                     .ppid = 9,
                                                     .other_pid = 8,
                                                     .other_ppid = 6,
                                                     .last_sender_pid = 7,
                                                     .last_sender_ppid = 6});
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

// A process of a snapshot has no type.
TEST(Translate, TranslatesAProcessOfASnapshot) {
  knell_event process = full_event();
  process.type = KNELL_EVENT_NONE;
  const knell_event event = translate(process, {.ns = 1, .pid = 10, .tid = 10, .ppid = 9});
  EXPECT_EQ(event.pid, 10);
  EXPECT_EQ(event.tid, 10);
  EXPECT_EQ(event.id.pid, 10);
  EXPECT_EQ(event.ppid, 9);
  EXPECT_EQ(event.parent_id.pid, 9);
  const knell_event alone = translate(process, {.ns = 1, .pid = 10, .tid = 10});
  EXPECT_EQ(alone.ppid, 0);
  EXPECT_EQ(alone.parent_id.pid, 0);
  EXPECT_EQ(alone.parent_comm.data, nullptr);
}

TEST(Translate, AParentOutsideIsUnknown) {
  const knell_event event = translate(full_event(), {.ns = 1, .pid = 1, .tid = 1, .other_pid = 8});
  EXPECT_EQ(event.ppid, 0);
  EXPECT_EQ(event.parent_id.pid, 0);
  EXPECT_EQ(event.parent_id.start, 0u);
  EXPECT_EQ(event.parent_comm.data, nullptr);
  EXPECT_NE(event.comm.data, nullptr);
}

TEST(Translate, OfSendersOutsideOnlyTheCauseIsKnown) {
  const knell_event event = translate(full_event(), {.ns = 1, .pid = 10, .tid = 11, .ppid = 9});
  EXPECT_NE(event.has & KNELL_HAS_KILLER, 0u);
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  EXPECT_EQ(event.killed_by.pid, 0);
  EXPECT_EQ(event.killed_by.uid, 0u);
  EXPECT_EQ(event.killed_by.comm.data, nullptr);
  EXPECT_EQ(event.killed_by.parent_pid, 0);
  EXPECT_EQ(event.killed_by.parent_comm.data, nullptr);
  EXPECT_EQ(event.killed_by.unit.data, nullptr);
  EXPECT_NE(event.killed_by.memory_cgroup.data, nullptr) << "it is about the subject";
  EXPECT_NE(event.has & KNELL_HAS_LAST_SIGNAL, 0u);
  EXPECT_EQ(event.last_signal.signal, 15);
  EXPECT_EQ(event.last_signal.pid, 0);
  EXPECT_EQ(event.last_signal.uid, 0u);
  EXPECT_EQ(event.last_signal.comm.data, nullptr);
  EXPECT_EQ(event.last_signal.parent_comm.data, nullptr);
  EXPECT_EQ(event.last_signal.ago_ns, 5u);
}

TEST(Translate, AParentOfASenderOutsideIsUnknown) {
  const knell_event event =
      translate(full_event(),
                {.ns = 1, .pid = 10, .tid = 11, .ppid = 9, .other_pid = 8, .last_sender_pid = 7});
  EXPECT_EQ(event.killed_by.pid, 8);
  EXPECT_NE(event.killed_by.comm.data, nullptr);
  EXPECT_EQ(event.killed_by.parent_pid, 0);
  EXPECT_EQ(event.killed_by.parent_comm.data, nullptr);
  EXPECT_EQ(event.last_signal.pid, 7);
  EXPECT_NE(event.last_signal.comm.data, nullptr);
  EXPECT_EQ(event.last_signal.parent_comm.data, nullptr);
}

TEST(Translate, TheMemoryCgroupOfASubjectOutsideIsUnknown) {
  const knell_event event = translate(full_event(), {.ns = 1});
  EXPECT_EQ(event.killed_by.memory_cgroup.data, nullptr);
}

TEST(Translate, KeepsTheCauseWhenTheKernelKilled) {
  knell_event from = full_event();
  from.killed_by = {};
  from.killed_by.cause = KNELL_CAUSE_OOM;
  const knell_event event = translate(from, {.ns = 1, .pid = 10, .tid = 11});
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_OOM));
}

// The parent of the first process of a namespace is outside of it.
TEST(Translate, AForkByAParentOutsideHasOnlyTheChild) {
  knell_event fork = full_event();
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

TEST(Translate, TranslatesATracer) {
  knell_event ptrace = full_event();
  ptrace.type = KNELL_EVENT_PTRACE;
  ptrace.tracer_pid = 700;
  EXPECT_EQ(translate(ptrace, {.ns = 1, .pid = 10, .other_pid = 6}).tracer_pid, 6);
  EXPECT_EQ(translate(ptrace, {.ns = 1, .pid = 10}).tracer_pid, 0);
}

// A new field, with a row that does not say who may see it.
struct Grown {
  knell_event event{};
  knell_string fake{};
};
static_assert(offsetof(Grown, event) == 0);
constexpr auto kGrownFields = [] {
  std::array<Field, kFields.size() + 1> fields{};
  std::ranges::copy(kFields, fields.begin());
  fields.back() = {Section::kProcess, "fake", member_at<knell_string>(offsetof(Grown, fake)), {1}};
  return fields;
}();

TEST(Visibility, WithholdsANewFieldByDefault) {
  const auto grown = [] { return Grown{.event = full_event(), .fake = text("secret")}; };
  Grown full = grown();
  limit_details<kGrownFields>(full.event, KNELL_DETAILS_FULL);
  EXPECT_NE(full.fake.data, nullptr);
  for (const uint32_t details : {KNELL_DETAILS_NAMES, KNELL_DETAILS_STATUS}) {
    Grown less = grown();
    limit_details<kGrownFields>(less.event, details);
    EXPECT_EQ(less.fake.data, nullptr) << details;
  }
  Grown inside = grown();
  translate_in_place<kGrownFields>(inside.event, {.ns = 1, .pid = 10, .tid = 11, .ppid = 9});
  EXPECT_EQ(inside.fake.data, nullptr) << "shown in another pid namespace";
  Grown of_user = grown();
  hide<kGrownFields>(of_user.event, hidden_from_user<kGrownFields>(of_user.event, 7));
  EXPECT_EQ(of_user.fake.data, nullptr) << "shown to a listener of one user";
}

// The table alone decides what a listener may see: if the subject is alone in its namespace, fields
// about other processes are removed, and those about the subject or the event itself stay.
TEST(Visibility, RemovesFieldsAboutProcessesOutsideTheNamespace) {
  const NamespacePids alone{.ns = 1, .pid = 1, .tid = 1, .child_pid = 2, .child_tid = 2};
  knell_event from = full_event();
  for_each_row<kFields>([&](auto row) {
    constexpr const Field& kField = kFields[row];
    if constexpr (kField.is(Member::Kind::kString)) value_of<kField.member>(from) = text("some");
  });
  const knell_event event = translate(from, alone);
  for_each_row<kFields>([&](auto row) {
    constexpr const Field& kField = kFields[row];
    if constexpr (kField.is(Member::Kind::kString)) {
      const bool others = kField.about != About::kSubject && kField.about != About::kEvent;
      EXPECT_EQ(value_of<kField.member>(event).data == nullptr, others) << kField.name;
    }
  });
}

TEST(Visibility, HidesKillerAndLastSenderOfAnotherUser) {
  knell_event event = full_event();
  const uint32_t hidden = hidden_from_user(event, 7);
  EXPECT_EQ(hidden, kHiddenKiller | kHiddenLastSignal);
  EXPECT_EQ(hidden_from_user(event, 3), 0u);
  hide(event, hidden);
  EXPECT_EQ(event.has & (KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL), 0u);
  EXPECT_EQ(event.killed_by.memory_cgroup.data, nullptr);
  EXPECT_EQ(event.last_signal.signal, 0);
  event = full_event();
  event.killed_by.cause = KNELL_CAUSE_KERNEL;
  hide(event, hidden_from_user(event, 7));
  EXPECT_NE(event.has & KNELL_HAS_KILLER, 0u);
  EXPECT_EQ(event.killed_by.pid, 0);
  EXPECT_EQ(event.killed_by.unit.data, nullptr);
  EXPECT_EQ(event.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_KERNEL));
}

}  // namespace
}  // namespace knell::event
