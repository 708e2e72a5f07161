// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/proc_stat.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace knell {
namespace {

// A line whose fields from 5 to 51 are 9, but for threads (20), start (22) and the exit signal
// (38).
std::string line(const std::string& name, char state, const std::string& exit_code) {
  std::string text = "4242 (" + name + ") " + state + " 17";
  for (int field = 5; field <= 51; field++) {
    text += field == 20 ? " 3" : field == 22 ? " 123456789012" : field == 38 ? " 17" : " 9";
  }
  return text + " " + exit_code + "\n";
}

TEST(ProcStat, FieldsAreCountedFromTheLastBracket) {
  for (const char* name : {"sh", "a b", ") R 1 (", "((", "x)"}) {
    const auto stat = parse_proc_stat(line(name, 'Z', "1792"));
    ASSERT_TRUE(stat.has_value()) << name;
    EXPECT_STREQ(stat->comm.data(), name);
    EXPECT_EQ(stat->state, 'Z');
    EXPECT_EQ(stat->ppid, 17);
    EXPECT_EQ(stat->tty, 9U);
    EXPECT_EQ(stat->threads, 3);
    EXPECT_EQ(stat->start, 123456789012U);
    EXPECT_EQ(stat->exit_signal, 17);
    EXPECT_EQ(stat->exit_code, 1792);
  }
}

TEST(ProcStat, LongNameIsCut) {
  const auto stat = parse_proc_stat(line("kworker/u8:0-events_unbound", 'I', "0"));
  ASSERT_TRUE(stat.has_value());
  EXPECT_STREQ(stat->comm.data(), "kworker/u8:0-ev");
}

TEST(ProcStat, MalformedTextIsRefused) {
  for (const char* text : {"", "1", "1 (sh", "1 (sh)", "1 (sh) R", "1 (sh) R x 1", ") ("}) {
    EXPECT_FALSE(parse_proc_stat(text).has_value()) << text;
  }
  // A truncated line is refused, or its fields are correct.
  const std::string whole = line("sh", 'S', "0");
  for (size_t size = 0; size < whole.size(); size++) {
    const auto stat = parse_proc_stat(whole.substr(0, size));
    if (stat) {
      EXPECT_EQ(stat->ppid, 17);
    }
  }
}

TEST(ProcStat, ReadsOurOwnProcess) {
  const auto stat = read_proc_stat(::getpid());
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->ppid, ::getppid());
  EXPECT_EQ(stat->state, 'R');
  EXPECT_TRUE(stat->executed);
  EXPECT_FALSE(read_proc_stat(0x7fffffff).has_value());
}

}  // namespace
}  // namespace knell
