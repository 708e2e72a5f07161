// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/decode.h"

#include <gtest/gtest.h>
#include <knell/cn_proc.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace knell::source {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

// Bytes on an 8-byte boundary, as they lie in a ring.
class Bytes {
 public:
  template <class T>
  Bytes(const T& head, std::string_view tail) : size_(sizeof head + tail.size()) {
    storage_.resize((size_ + 7) / 8);
    std::memcpy(storage_.data(), &head, sizeof head);
    std::memcpy(reinterpret_cast<char*>(storage_.data()) + sizeof head, tail.data(), tail.size());
  }
  std::string_view view() const { return {reinterpret_cast<const char*>(storage_.data()), size_}; }

 private:
  std::vector<uint64_t> storage_;
  size_t size_;
};

knell_process process_of(uint32_t kind) {
  knell_process process{};
  process.head.kind = kind;
  process.head.stamp_ns = 1000;
  process.pid = process.tid = 42;
  process.status = 0x100;
  process.signal = 17;
  return process;
}

TEST(Decode, ReversesPathNames) {
  std::string path = "before";
  reverse_path("sh\0bin\0usr\0"sv, path);
  EXPECT_EQ(path, "/usr/bin/sh");
  std::string fresh;  // which has to grow
  reverse_path("program\0of\0some\0longer\0path\0"sv, fresh);
  EXPECT_EQ(fresh, "/path/longer/some/of/program");
  reverse_path("\0"sv, path);
  EXPECT_EQ(path, "/");
  reverse_path(""sv, path);
  EXPECT_EQ(path, "");
  reverse_path("no end"sv, path);
  EXPECT_EQ(path, "");
}

TEST(Decode, SplitsTheTail) {
  knell_process process = process_of(KNELL_RECORD_EXEC);
  process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_ARGS;
  process.tty = 0x8803;
  process.args_bytes = 5;
  process.exe_bytes = 3;
  process.cwd_bytes = 1;
  std::memcpy(process.comm, "sh", 2);
  const Bytes bytes(process, "sh\0a\0sh\0\0"sv);
  const auto decoded = decode(bytes.view());
  ASSERT_TRUE(decoded);
  RecordDecoder decoder;
  const event::Full& full = decoder.event_of(*decoded);
  EXPECT_EQ(full.what, KNELL_EVENT_EXEC);
  EXPECT_EQ(full.args, "sh\0a\0"sv);
  EXPECT_EQ(full.exe, "/sh");
  EXPECT_EQ(full.cwd, "/");
  EXPECT_EQ(full.tty, 0x8803U);
  EXPECT_TRUE(full.has_args);
  EXPECT_FALSE(full.args_truncated);
}

TEST(Decode, MarksDeletedFilesAndTheEndOfArgs) {
  knell_process process = process_of(KNELL_RECORD_EXEC);
  process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_ARGS | KNELL_RECORD_ARGS_EXACT |
                       KNELL_RECORD_EXE_DELETED | KNELL_RECORD_CWD_DELETED;
  process.exe_bytes = 3;
  const Bytes bytes(process, "sh\0"sv);
  RecordDecoder decoder;
  const event::Full& full = decoder.event_of(*decode(bytes.view()));
  EXPECT_EQ(full.exe, "/sh (deleted)");
  EXPECT_EQ(full.cwd, "") << "unknown";
  EXPECT_EQ(full.args_end, event::ArgsEnd::kArguments);
  process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_ARGS | KNELL_RECORD_ARGS_PADDED;
  const Bytes padded(process, "sh\0"sv);
  EXPECT_EQ(decoder.event_of(*decode(padded.view())).args_end, event::ArgsEnd::kTitlePadding);
}

TEST(Decode, DecodesEventsOfTheConnector) {
  knell_process process = process_of(KNELL_RECORD_CHANGE);
  process.what = KNELL_EVENT_GID;
  process.change[0] = 33;
  process.change[1] = 34;
  RecordDecoder decoder;
  const Bytes gid(process, "");
  const event::Full& full = decoder.event_of(*decode(gid.view()));
  EXPECT_EQ(full.what, KNELL_EVENT_GID);
  EXPECT_EQ(full.u.id.real, 33U);
  EXPECT_EQ(full.u.id.effective, 34U);
  process.what = KNELL_EVENT_PTRACE;
  const Bytes ptrace(process, "");
  EXPECT_EQ(decoder.event_of(*decode(ptrace.view())).u.ptrace.tracer_pid, 34);
}

TEST(Decode, RefusesATailThatIsTooShort) {
  knell_process process = process_of(KNELL_RECORD_EXEC);
  process.args_bytes = 5;
  EXPECT_FALSE(decode(Bytes(process, "abcd").view()));
  process.args_bytes = 0xffffffff;
  process.exe_bytes = 5;
  EXPECT_FALSE(decode(Bytes(process, "abcd").view()));
}

std::string bytes_of(const std::vector<knell_numbers>& levels) {
  return {reinterpret_cast<const char*>(levels.data()), levels.size() * sizeof(knell_numbers)};
}

TEST(Decode, FindsLevelsAtTheEndOfTheTail) {
  knell_process process = process_of(KNELL_RECORD_FORK);
  process.head.flags = KNELL_RECORD_LEVELS | KNELL_RECORD_BIRTH;
  process.child_uid = 1000;
  process.cwd_bytes = 1;  // so that they are not aligned
  process.levels = 2;
  const Bytes bytes(process, "\0"s + bytes_of({{77, 1, 0, 0, 2, 0, 0, 0, 0, 0},
                                               {78, 0, 0, 0, 1, 3, 0, 0, 0, 0}}));
  const auto decoded = decode(bytes.view());
  ASSERT_TRUE(decoded);
  RecordDecoder decoder;
  const event::Full& full = decoder.event_of(*decoded);
  EXPECT_TRUE(full.levels_known);
  EXPECT_TRUE(full.for_levels_only);
  EXPECT_EQ(full.u.child.uid, 1000U);
  ASSERT_EQ(full.levels.size(), 2U);
  EXPECT_EQ(full.levels[0], (event::NamespacePids{.ns = 77, .pid = 1, .child_pid = 2}));
  EXPECT_EQ(full.levels[1], (event::NamespacePids{.ns = 78, .child_pid = 1, .child_tid = 3}));
}

knell_sender sender_of(int32_t pid, uint32_t cause) {
  knell_sender sender{};
  sender.signal = 15;
  sender.cause = cause;
  sender.uid = 7;
  sender.pid = pid;
  sender.parent_pid = 1;
  sender.stamp_ns = 900;
  sender.cgroup = 77;
  std::memcpy(sender.comm, "bash", 4);
  std::memcpy(sender.parent_comm, "cron", 4);
  return sender;
}

std::string sender_bytes(const knell_sender& sender) {
  return {reinterpret_cast<const char*>(&sender), sizeof sender};
}

TEST(Decode, FindsSendersBetweenThePathsAndTheLevels) {
  knell_process process = process_of(KNELL_RECORD_DETAILS);
  process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_LEVELS | KNELL_RECORD_KILLER |
                       KNELL_RECORD_ASKER | KNELL_RECORD_OUT_OF_MEMORY;
  process.cwd_bytes = 1;
  process.memory_cgroup_bytes = 6;
  process.levels = 1;
  const std::string tail = "\0b\0abc\0"s;
  const Bytes bytes(process, tail + sender_bytes(sender_of(0, KNELL_CAUSE_KERNEL)) +
                                 sender_bytes(sender_of(61, KNELL_CAUSE_USER)) +
                                 bytes_of({{77, 1, 0, 0, 0, 0, 5, 6, 7, 8}}));
  const auto decoded = decode(bytes.view());
  ASSERT_TRUE(decoded);
  RecordDecoder decoder;
  const event::Full& full = decoder.event_of(*decoded);
  EXPECT_EQ(full.killer.cause, static_cast<uint32_t>(KNELL_CAUSE_OOM));
  EXPECT_EQ(full.memory_cgroup, "/abc/b");
  EXPECT_EQ(full.last_sender.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  EXPECT_EQ(full.last_sender.pid, 61);
  EXPECT_EQ(full.last_sender.parent_pid, 1);
  EXPECT_EQ(full.last_sender.signal, 15U);
  EXPECT_EQ(full.last_sender.cgroup, 77U);
  EXPECT_EQ(full.last_sender.stamp_ns, 900U);
  EXPECT_EQ(std::string_view(full.last_sender.comm.data()), "bash");
  EXPECT_EQ(std::string_view(full.last_sender.parent_comm.data()), "cron");
  ASSERT_EQ(full.levels.size(), 1U);
  EXPECT_EQ(full.levels[0], (event::NamespacePids{.ns = 77,
                                                  .pid = 1,
                                                  .other_pid = 5,
                                                  .other_ppid = 6,
                                                  .last_sender_pid = 7,
                                                  .last_sender_ppid = 8}));
}

TEST(Decode, RefusesATailWithoutTheSendersOfTheFlags) {
  knell_process process = process_of(KNELL_RECORD_DETAILS);
  process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_KILLER | KNELL_RECORD_ASKER;
  EXPECT_FALSE(decode(Bytes(process, sender_bytes(sender_of(61, 1))).view()));
  process.head.flags = KNELL_RECORD_NAMED;
  process.memory_cgroup_bytes = 0xffffffff;
  EXPECT_FALSE(decode(Bytes(process, sender_bytes(sender_of(61, 1))).view()));
}

TEST(Decode, DistinguishesNoLevelsFromUnknownLevels) {
  knell_process process = process_of(KNELL_RECORD_EXEC);
  const Bytes unknown(process, ""sv);
  process.head.flags = KNELL_RECORD_LEVELS;
  const Bytes none(process, ""sv);
  RecordDecoder decoder;
  EXPECT_FALSE(decoder.event_of(*decode(unknown.view())).levels_known);
  EXPECT_TRUE(decoder.event_of(*decode(none.view())).levels_known);
  EXPECT_TRUE(decoder.event_of(*decode(none.view())).levels.empty());
  knell_mark mark{};
  mark.pid = 42;
  EXPECT_FALSE(decoder.event_of_exit(nullptr, mark).levels_known);
}

TEST(Decode, RefusesMoreLevelsThanTheTailHas) {
  knell_process process = process_of(KNELL_RECORD_EXEC);
  process.head.flags = KNELL_RECORD_LEVELS;
  process.levels = 2;
  EXPECT_FALSE(decode(Bytes(process, bytes_of({{}})).view()));
  process.levels = event::kMostLevels + 1;
  const std::vector<knell_numbers> too_many(process.levels);
  EXPECT_FALSE(decode(Bytes(process, bytes_of(too_many)).view()));
  process.levels = 0xffffffff;
  EXPECT_FALSE(decode(Bytes(process, bytes_of(too_many)).view()));
}

TEST(Decode, RefusesUnknownKindsAndShortRecords) {
  EXPECT_FALSE(decode(""));
  knell_process process = process_of(99);
  EXPECT_FALSE(decode(Bytes(process, "").view()));
  process = process_of(KNELL_RECORD_FORK);
  EXPECT_FALSE(decode(Bytes(process, "").view().substr(0, sizeof process - 1)));
}

TEST(Decode, MakesAnExitOfAMarkAlone) {
  knell_mark mark{};
  mark.head.kind = KNELL_RECORD_MARK;
  mark.head.stamp_ns = 2000;
  mark.pid = 42;
  mark.status = 9;
  mark.ppid = 41;
  RecordDecoder decoder;
  const event::Full& full = decoder.event_of_exit(nullptr, mark);
  EXPECT_EQ(full.what, KNELL_EVENT_EXIT);
  EXPECT_EQ(full.pid, 42);
  EXPECT_EQ(full.ppid, 41);
  EXPECT_EQ(full.u.exit.status, 9);
  EXPECT_FALSE(full.has_details);
}

TEST(Decode, TakesStampAndStatusFromTheMark) {
  knell_process process = process_of(KNELL_RECORD_DETAILS);
  process.head.flags = KNELL_RECORD_NAMED;
  process.uid = 7;
  const Bytes bytes(process, "");
  const auto details = decode(bytes.view());
  ASSERT_TRUE(details);
  knell_mark mark{};
  mark.head.stamp_ns = 2000;
  mark.status = 9;
  RecordDecoder decoder;
  const event::Full& full = decoder.event_of_exit(&*details, mark);
  EXPECT_EQ(full.stamp_ns, 2000U);
  EXPECT_EQ(full.u.exit.status, 9);
  EXPECT_EQ(full.uid, 7U);
  EXPECT_TRUE(full.has_details);
  EXPECT_FALSE(full.has_args);
}

}  // namespace
}  // namespace knell::source
