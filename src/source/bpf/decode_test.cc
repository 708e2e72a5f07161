// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/decode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/namespace_pids.h"
#include "source/bpf/record_for_test.h"

namespace knell::source {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

using Bytes = RecordBytes;

knell_process process_of(uint32_t kind) {
  knell_process process{};
  process.head.kind = kind;
  process.head.stamp_ns = 1000;
  process.pid = process.tid = 42;
  process.status = 0x100;
  process.signal = 17;
  return process;
}

std::optional<std::string> reversed(std::string_view names) {
  std::string path(names.size(), '?');
  if (!reverse_path(names, path.data())) return std::nullopt;
  return path;
}

TEST(Decode, ReversesPathNames) {
  EXPECT_EQ(reversed("sh\0bin\0usr\0"sv), "/usr/bin/sh");
  EXPECT_EQ(reversed("program\0of\0some\0longer\0path\0"sv), "/path/longer/some/of/program");
  EXPECT_EQ(reversed("\0"sv), "/");
  EXPECT_EQ(reversed(""sv).value_or(""), "");
  EXPECT_EQ(reversed("no end"sv), std::nullopt);
}

TEST(Decode, SplitsTheTail) {
  knell_process process = process_of(KNELL_RECORD_EXEC);
  process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_ARGS;
  process.args_bytes = 5;
  process.exe_bytes = 3;
  process.cwd_bytes = 1;
  const Bytes bytes(process, "sh\0a\0sh\0\0"sv);
  const auto decoded = decode(bytes.view());
  ASSERT_TRUE(decoded && decoded->process != nullptr);
  EXPECT_EQ(decoded->pid(), 42);
  EXPECT_EQ(decoded->args, "sh\0a\0"sv);
  EXPECT_EQ(decoded->exe_names, "sh\0"sv);
  EXPECT_EQ(decoded->cwd_names, "\0"sv);
  EXPECT_TRUE(decoded->memory_cgroup_names.empty() && decoded->senders.empty() &&
              decoded->levels.empty());
}

TEST(Decode, RefusesATailThatIsTooShort) {
  knell_process process = process_of(KNELL_RECORD_EXEC);
  process.args_bytes = 5;
  EXPECT_FALSE(decode(Bytes(process, "abcd").view()));
  process.args_bytes = 0xffffffff;
  process.exe_bytes = 5;
  EXPECT_FALSE(decode(Bytes(process, "abcd").view()));
}

TEST(Decode, FindsLevelsAtTheEndOfTheTail) {
  knell_process process = process_of(KNELL_RECORD_FORK);
  process.head.flags = KNELL_RECORD_LEVELS | KNELL_RECORD_BIRTH;
  process.cwd_bytes = 1;  // so that they are not aligned
  process.levels = 2;
  const std::string levels =
      bytes_of({{77, 1, 0, 0, 2, 0, 0, 0, 0, 0}, {78, 0, 0, 0, 1, 3, 0, 0, 0, 0}});
  const Bytes bytes(process, "\0"s + levels);
  const auto decoded = decode(bytes.view());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->levels, levels);
}

TEST(Decode, FindsSendersBetweenThePathsAndTheLevels) {
  knell_process process = process_of(KNELL_RECORD_DETAILS);
  process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_LEVELS | KNELL_RECORD_KILLER |
                       KNELL_RECORD_LAST_SENDER | KNELL_RECORD_OUT_OF_MEMORY;
  process.cwd_bytes = 1;
  process.memory_cgroup_bytes = 6;
  process.levels = 1;
  knell_sender killer{}, last{};
  killer.pid = 60;
  last.pid = 61;
  const std::string senders = bytes_of(killer) + bytes_of(last);
  const std::string levels = bytes_of({{77, 1, 0, 0, 0, 0, 5, 6, 7, 8}});
  const Bytes bytes(process, "\0b\0abc\0"s + senders + levels);
  const auto decoded = decode(bytes.view());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->memory_cgroup_names, "b\0abc\0"sv);
  EXPECT_EQ(decoded->senders, senders);
  EXPECT_EQ(decoded->levels, levels);
}

TEST(Decode, RefusesATailWithoutTheSendersOfTheFlags) {
  knell_process process = process_of(KNELL_RECORD_DETAILS);
  process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_KILLER | KNELL_RECORD_LAST_SENDER;
  EXPECT_FALSE(decode(Bytes(process, bytes_of(knell_sender{})).view()));
  process.head.flags = KNELL_RECORD_NAMED;
  process.memory_cgroup_bytes = 0xffffffff;
  EXPECT_FALSE(decode(Bytes(process, bytes_of(knell_sender{})).view()));
}

TEST(Decode, RefusesMoreLevelsThanTheTailHas) {
  knell_process process = process_of(KNELL_RECORD_EXEC);
  process.head.flags = KNELL_RECORD_LEVELS;
  process.levels = 2;
  EXPECT_FALSE(decode(Bytes(process, bytes_of(std::vector<knell_numbers>(1))).view()));
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

}  // namespace
}  // namespace knell::source
