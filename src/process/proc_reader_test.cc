// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/proc_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "process/fake_proc.h"

namespace knell::process {
namespace {

TEST(ProcReader, ReadsAWrittenTree) {
  FakeProc tree({{7,
                  {.ppid = 3,
                   .start = 1234,
                   .comm = "a) (b",
                   .cmdline = std::string("x\0y z\0", 6),
                   .threads = 4,
                   .uid = 33}}});
  const ProcReader proc = tree.reader();
  const ProcFolder folder = proc.folder(7);
  ASSERT_TRUE(folder);
  const auto stat = folder.stat();
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->ppid, 3);
  EXPECT_EQ(stat->start, 1234U);
  EXPECT_EQ(stat->threads, 4);
  EXPECT_STREQ(stat->comm.data(), "a) (b");
  EXPECT_EQ(folder.ids()->uid, 33U);
  const Image image = folder.image();
  EXPECT_EQ(image.args, std::string("x\0y z\0", 6));
  EXPECT_EQ(image.exe, "/bin/test");
  EXPECT_EQ(image.cwd, "/tmp");
  EXPECT_FALSE(proc.folder(8));
  EXPECT_EQ(proc.pids(), std::vector<int32_t>{7});
}

TEST(ProcReader, MarksTruncatedArgs) {
  FakeProc tree({{7, {.cmdline = std::string(5000, 'x')}},
                 {8, {.cmdline = std::string(kArgsBytes - 1, 'x') + '\0'}}});
  const Image cut = tree.reader().folder(7).image();
  EXPECT_TRUE(cut.args_truncated);
  EXPECT_EQ(cut.args.size(), kArgsBytes + 1);  // the NUL at the end counts too
  EXPECT_FALSE(tree.reader().folder(8).image().args_truncated);
}

TEST(ProcReader, MissingArgsAreUnknown) {
  FakeProc tree({{7, {.start = 1}}});
  EXPECT_FALSE(tree.reader().folder(7).image().has_args);
}

TEST(ProcReader, AFolderIsNotOfALaterProcess) {
  FakeProc tree({{7, {.start = 1}}});
  const ProcReader proc = tree.reader();
  const ProcFolder folder = proc.folder(7);
  tree.remove(7);
  tree.add(7, {.start = 2});
  EXPECT_FALSE(folder.stat());
  EXPECT_EQ(proc.folder(7).stat()->start, 2U);
}

TEST(ProcReader, ReadsUidAndNamespaceNumbers) {
  FakeProc tree({{7, {.uid = 33, .numbers = {{70, 5}, {71, 1}}}}, {8, {.process = 7}}});
  const ProcReader proc = tree.reader();
  const auto status = proc.folder(7).task_status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->uid, 33U);
  EXPECT_EQ(status->process, 7U);
  ASSERT_EQ(status->count, 3U);
  EXPECT_EQ(status->numbers[0], 7);
  EXPECT_EQ(status->numbers[1], 5);
  EXPECT_EQ(status->numbers[2], 1);
  EXPECT_EQ(proc.folder(8).task_status()->process, 7U);
  EXPECT_FALSE(proc.is_in_own_pid_namespace(7));
  EXPECT_TRUE(proc.is_in_own_pid_namespace(8));
  EXPECT_FALSE(proc.is_in_own_pid_namespace(9)) << "there is no such process";
}

TEST(ProcReader, ReadsTheLinesAfterManyGroups) {
  FakeProc tree({{7, {.uid = 33, .groups = 65536, .numbers = {{70, 5}}}}});
  const auto status = tree.reader().folder(7).task_status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->uid, 33U);
  ASSERT_EQ(status->count, 2U);
  EXPECT_EQ(status->numbers[1], 5);
}

TEST(ProcReader, ReadsItself) {
  const auto proc = ProcReader::open();
  ASSERT_TRUE(proc);
  EXPECT_EQ(proc->folder(::getpid()).stat()->ppid, ::getppid());
  EXPECT_TRUE(proc->folder(::getpid()).image().has_args);
  EXPECT_TRUE(proc->is_in_own_pid_namespace(::getpid()));
  EXPECT_EQ(proc->folder(::getpid()).task_status()->uid, ::getuid());
  EXPECT_GE(proc->folder(::getpid()).task_status()->count, 1U);
}

TEST(WithoutTitlePadding, KeepsEmptyArgumentsDropsPadding) {
  std::string padded("postgres: app\0\0\0\0\0", 18);
  EXPECT_EQ(without_title_padding(padded, ArgsEnd::kUnknown), std::string("postgres: app\0", 14));
  std::string empty_arg("sh\0-c\0\0", 7);
  EXPECT_EQ(without_title_padding(empty_arg, ArgsEnd::kUnknown).size(), 7U);
  const std::string_view words("sh\0-c\0true\0x\0\0\0", 15);
  EXPECT_EQ(without_title_padding(words, ArgsEnd::kUnknown), words);
  std::string nothing;
  EXPECT_TRUE(without_title_padding(nothing, ArgsEnd::kUnknown).empty());
}

TEST(WithoutTitlePadding, UsesTheKnownArgsEnd) {
  const std::string args("prog\0\0\0", 7);
  EXPECT_EQ(without_title_padding(args, ArgsEnd::kArguments), args);
  EXPECT_EQ(without_title_padding(args, ArgsEnd::kTitlePadding), args.substr(0, 5));
  const std::string hidden("mysql\0-p\0\0\0", 11);  // a password that was overwritten with NULs
  EXPECT_EQ(without_title_padding(hidden, ArgsEnd::kTitlePadding), hidden.substr(0, 9));
}

// "prog", "", "" at 1000: the arguments begin at 1000, 1005 and 1006.
TEST(JudgeArgsEnd, UsesThePointersThatTheKernelPutOnTheStack) {
  using enum ArgsEnd;
  const std::string args("prog\0\0\0", 7);
  const auto judge = [&](bool whole, const std::vector<uint64_t>& pointers) {
    return classify_args_end(args, 1000, whole, pointers);
  };
  EXPECT_EQ(judge(true, {1005, 1006}), kArguments);
  EXPECT_EQ(judge(true, {1006, 1005}), kArguments) << "options were put first";
  EXPECT_EQ(judge(true, {}), kTitlePadding);
  EXPECT_EQ(judge(true, {1003}), kTitlePadding) << "ran as `ab def`";
  EXPECT_EQ(judge(true, {1005}), kTitlePadding) << "ran as `abcd e`";
  EXPECT_EQ(judge(true, {0}), kTitlePadding) << "the program has changed them";
  EXPECT_EQ(judge(false, {1005, 2000}), kArguments) << "cut here";
}

}  // namespace
}  // namespace knell::process
