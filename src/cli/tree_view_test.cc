// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/tree_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <knell/knell.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/event_for_test.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kNow = 1000 * kSecond;

// A living process, born `start` clock ticks after the boot.
EventForTest living(pid_t pid, pid_t ppid, uint64_t start, const std::string& args) {
  EventForTest made;
  made.process(pid, ppid).comm(args.substr(0, args.find(' '))).user("root");
  std::string words = args + ' ';
  for (char& c : words)
    if (c == ' ') c = '\0';
  made.args(words);
  made.event.type = KNELL_EVENT_NONE;
  made.event.via = KNELL_VIA_PROC;
  made.event.id = {.boot = 1, .pid = pid, .start = start, .kind = KNELL_ID_START};
  made.event.mono_ns = kNow - kSecond;
  return made;
}

// Its exit, a second before kNow.
EventForTest dead(pid_t pid, pid_t ppid, uint64_t start, const std::string& args, int status) {
  EventForTest made = living(pid, ppid, start, args);
  made.exit(status).lasted(2'000'000);
  return made;
}

class TreeViewTest : public testing::Test {
 protected:
  TreeViewTest() { options_.now_ns = kNow; }
  void terminal(size_t columns) {
    options_.screen.terminal = true;
    options_.screen.columns = columns;
    options_.screen.rows = 24;
  }
  std::vector<std::string> lines(size_t most = 0) {
    std::string out;
    TreeView(options_).show(tree_, out, most);
    std::vector<std::string> all;
    std::istringstream text(out);
    for (std::string line; std::getline(text, line);) all.push_back(line);
    const size_t columns = options_.screen.columns == 0 ? SIZE_MAX : options_.screen.columns;
    for (const std::string& line : all) EXPECT_LE(display_width(line), columns) << line;
    return all;
  }
  std::vector<std::string> json() {
    std::string out;
    TreeView(options_).show_json(tree_, out);
    std::vector<std::string> all;
    std::istringstream text(out);
    for (std::string line; std::getline(text, line);) all.push_back(line);
    return all;
  }
  void small_tree() {
    tree_.add(living(1, 0, 100, "/sbin/init"));
    tree_.add(living(812, 1, 200, "cron -f"));
    tree_.add(living(900, 1, 300, "getty tty1"));
    tree_.add(living(950, 812, 400, "sh job"));
    tree_.add_ended(dead(951, 812, 500, "grep -q x /etc/passwd", 0x100));
  }

  ProcessTree tree_;
  TreeView::Options options_;
};

TEST_F(TreeViewTest, ShowsChildrenBelowTheirParentsAndTheDeadAtTheirPlace) {
  small_tree();
  EXPECT_THAT(lines(), ElementsAre("PID      USER        AGE     COMMAND",
                                   "1        root        16m38s  /sbin/init",
                                   "812      root        16m37s  ├─cron -f",
                                   "950      root        16m35s  │ ├─sh job",
                                   "951      root        2ms     │ └─✗ exit 1, 1s ago  grep -q x "
                                   "/etc/passwd",
                                   "900      root        16m36s  └─getty tty1"));
}

TEST_F(TreeViewTest, LinesAreAsciiWithoutUtf8) {
  small_tree();
  options_.utf8 = false;
  const auto all = lines();
  EXPECT_THAT(all[2], HasSubstr("  |-cron -f"));
  EXPECT_THAT(all[3], HasSubstr("  | |-sh job"));
  EXPECT_THAT(all[5], HasSubstr("  `-getty tty1"));
}

TEST_F(TreeViewTest, FitsEightyColumns) {
  terminal(80);
  tree_.add(living(1, 0, 100, "/sbin/init").unit("init.scope"));
  tree_.add(
      living(4'194'303, 1, 200, "java " + std::string(200, 'x')).unit("a-very-long-unit-name"));
  tree_.add_ended(
      dead(950, 4'194'303, 400, "sh " + std::string(100, 'y'), 9).killed_by(8103, 0, "bash"));
  const auto all = lines();
  EXPECT_EQ(all[0], "PID      USER      UNIT        AGE     COMMAND");
  EXPECT_THAT(all[2], testing::StartsWith("4194303  root      a-very-lo…  16m37s  └─java xxx"));
  EXPECT_THAT(all[2], testing::EndsWith("…"));
  const std::string rest = all[3] + (all.size() > 4 ? all[4] : "");
  EXPECT_THAT(rest, HasSubstr("SIGKILL, 1s ago"));
  EXPECT_THAT(rest, HasSubstr("<- kill by 8103 bash (root)")) << "a cause is never cut";
}

TEST_F(TreeViewTest, LeavesColumnsOutOfANarrowWindow) {
  terminal(40);
  tree_.add(living(1, 0, 100, "/sbin/init").unit("init.scope"));
  EXPECT_EQ(lines()[0], "PID      COMMAND");
}

// A wider line would take two rows of the window, and the next update would not overwrite one of
// them.
TEST_F(TreeViewTest, NoWindowIsTooNarrow) {
  const auto without_blanks = [](std::string text) {
    std::erase(text, ' ');
    std::erase(text, '\n');
    return text;
  };
  for (size_t columns = 1; columns < 100; ++columns) {
    terminal(columns);
    tree_ = ProcessTree();
    small_tree();
    tree_.add_ended(dead(952, 951, 600, "sh job", 9).killed_by(8103, 0, "bash"));
    std::string text;
    for (const std::string& line : lines()) text += line;
    EXPECT_THAT(without_blanks(text), HasSubstr("<-killby8103bash(root)")) << columns;
  }
}

TEST_F(TreeViewTest, HostileNamesCannotMoveTheCursor) {
  terminal(80);
  tree_.add(living(1, 0, 100, "/sbin/init"));
  tree_.add(living(2, 1, 200, "\x1b[2J\x1b]0;title\x07\nroot\xff").user("a\x1b[31m"));
  std::string out;
  TreeView(options_).show(tree_, out);
  EXPECT_THAT(out, Not(HasSubstr("\x1b")));
  EXPECT_EQ(std::ranges::count(out, '\n'), 3);
  EXPECT_THAT(out, HasSubstr("\\x1b[2J"));
}

TEST_F(TreeViewTest, ADeepTreeTakesNoStackAndNoWidth) {
  constexpr pid_t kDepth = 10'000;
  terminal(80);
  // All born in one clock tick.
  for (pid_t pid = 1; pid <= kDepth; ++pid) tree_.add(living(pid, pid - 1, 100, "sh"));
  const auto all = lines();
  ASSERT_EQ(all.size(), size_t{kDepth} + 1);
  EXPECT_THAT(all[kDepth], HasSubstr("+9999└─sh"));
}

TEST_F(TreeViewTest, AProcessWithoutAKnownParentIsAtTheTop) {
  tree_.add(living(5, 0, 100, "inner"));
  tree_.add(living(7, 4, 200, "orphan"));
  const auto all = lines();
  EXPECT_THAT(all[1], testing::EndsWith("  inner"));
  EXPECT_THAT(all[2], testing::EndsWith("  orphan"));
}

TEST_F(TreeViewTest, AReusedPidIsAnotherProcess) {
  tree_.add(living(1, 0, 100, "/sbin/init"));
  tree_.add(living(50, 1, 900, "new"));
  // A child of an earlier process 50, and that process: both have ended.
  EventForTest old_child = dead(60, 50, 500, "child", 0);
  old_child.event.parent_id = {.boot = 1, .pid = 50, .start = 400, .kind = KNELL_ID_START};
  tree_.add_ended(old_child);
  tree_.add_ended(dead(50, 1, 400, "old", 0x200));
  // A child that is older than the process that now has the pid of its parent.
  tree_.add(living(70, 50, 600, "stray"));
  std::vector<std::string> commands;
  for (const std::string& line : lines()) commands.push_back(line.substr(29));
  EXPECT_THAT(commands, ElementsAre("COMMAND", "/sbin/init", "├─✗ exit 2, 1s ago  old",
                                    "│ ├─exit 0, 1s ago  child", "│ └─stray", "└─new"));
}

TEST_F(TreeViewTest, AnExitReplacesTheProcessThatWasAlive) {
  tree_.add(living(50, 1, 400, "job now"));
  EventForTest exit;  // as a pidfd reports it: with a status only
  exit.process(50, 0).exit(0x100);
  exit.event.mono_ns = kNow - kSecond / 2;
  tree_.add_ended(exit);
  EXPECT_EQ(tree_.alive(), 0u);
  const auto all = lines();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[1], HasSubstr("exit 1, 500ms ago  job now"));
}

TEST_F(TreeViewTest, ACycleOfParentsIsShownOnce) {
  tree_.add(living(10, 20, 100, "one"));
  tree_.add(living(20, 10, 100, "two"));
  EXPECT_EQ(lines().size(), 3u);
}

TEST_F(TreeViewTest, CountsKernelThreadsUnlessAskedForThem) {
  EventForTest kthreadd;
  kthreadd.process(2, 0).comm("kthreadd");
  kthreadd.event.type = KNELL_EVENT_NONE;
  EventForTest worker;
  worker.process(9, 2).comm("kworker/0:1").parent_comm("kthreadd");
  worker.event.type = KNELL_EVENT_NONE;
  tree_.add(kthreadd);
  tree_.add(worker);
  const auto all = lines();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[1], HasSubstr("[kthreadd]  (1 kernel threads: --all shows them)"));
}

// A helper program of the kernel, such as modprobe.
TEST_F(TreeViewTest, WhatAHiddenKernelThreadStartedStaysBelowItsParent) {
  EventForTest kthreadd, worker;
  kthreadd.process(2, 0).comm("kthreadd");
  worker.process(9, 2).comm("kworker/0:1").parent_comm("kthreadd");
  kthreadd.event.type = worker.event.type = KNELL_EVENT_NONE;
  tree_.add(worker);
  tree_.add(kthreadd);
  tree_.add(living(50, 9, 100, "modprobe nosuch"));
  tree_.add(living(60, 0, 200, "job"));
  std::vector<std::string> commands;
  for (const std::string& line : lines()) commands.push_back(line.substr(29));
  EXPECT_THAT(commands,
              ElementsAre("COMMAND", "job", HasSubstr("[kthreadd]"), "└─modprobe nosuch"));
}

TEST_F(TreeViewTest, KernelThreadsAreShownWhenAskedFor) {
  EventForTest kthreadd, worker;
  kthreadd.process(2, 0).comm("kthreadd");
  worker.process(9, 2).comm("kworker/0:1").parent_comm("kthreadd");
  kthreadd.event.type = worker.event.type = KNELL_EVENT_NONE;
  tree_.add(kthreadd);
  tree_.add(worker);
  options_.kernel_threads = true;
  EXPECT_THAT(lines()[2], HasSubstr("└─[kworker/0:1]"));
}

TEST_F(TreeViewTest, SaysWhatDoesNotFitTheWindow) {
  terminal(80);
  tree_.add(living(1, 0, 100, "/sbin/init"));
  for (pid_t pid = 10; pid < 60; ++pid) tree_.add(living(pid, 1, 200, "sh"));
  options_.each = true;
  const auto all = lines(10);
  EXPECT_EQ(all.size(), 10u);
  EXPECT_THAT(all.back(), testing::StartsWith("43 more below"));
  size_t visited = 0;
  for (uint32_t i = 0; i < tree_.size(); ++i) visited += tree_[i].visited ? 1 : 0;
  EXPECT_EQ(visited, 9u) << "what is beyond the window is not even looked at";
}

TEST_F(TreeViewTest, RepeatsShareALine) {
  tree_.add(living(1, 0, 100, "make"));
  for (pid_t pid = 10; pid < 224; ++pid)
    tree_.add_ended(dead(pid, 1, 200, "cc1 file" + std::to_string(pid), 0));
  EventForTest failed = dead(300, 1, 300, "cc1 bad.c", 0x100);
  failed.event.mono_ns += kSecond / 2;
  tree_.add_ended(dead(301, 1, 301, "cc1 worse.c", 9));
  tree_.add_ended(failed);
  for (pid_t pid = 400; pid < 404; ++pid) tree_.add_ended(dead(pid, 1, 400, "true", 0));
  for (pid_t pid = 500; pid < 504; ++pid) tree_.add(living(pid, 1, 500, "worker 1"));
  tree_.add(living(504, 1, 500, "worker 2"));
  tree_.add(living(505, 1, 500, "worker 1"));
  tree_.add(living(506, 505, 600, "child"));
  for (pid_t pid = 600; pid < 603; ++pid) tree_.add_ended(dead(pid, 1, 700, "false", 0x100));
  std::vector<std::string> commands;
  for (const std::string& line : lines()) commands.push_back(line.substr(29));
  EXPECT_THAT(commands,
              ElementsAre("COMMAND", "make", "├─cc1 × 214, the last exit 0, 1s ago",
                          "├─✗ exit 1, 500ms ago  cc1 bad.c", "├─✗ SIGKILL, 1s ago  cc1 worse.c",
                          "├─true × 4, the last exit 0, 1s ago", "├─worker 1 × 4", "├─worker 2",
                          "├─worker 1", "│ └─child", "├─✗ exit 1, 1s ago  false",
                          "├─✗ exit 1, 1s ago  false", "└─✗ exit 1, 1s ago  false"));
}

TEST_F(TreeViewTest, ManyFailuresShareALineToo) {
  tree_.add(living(1, 0, 100, "make"));
  for (pid_t pid = 10; pid < 20; ++pid)
    tree_.add_ended(dead(pid, 1, 200, "cc1 " + std::to_string(pid), pid < 16 ? 0 : 0x100));
  EXPECT_THAT(lines().back(),
              HasSubstr("└─✗ cc1 × 10, 4 failed, the last: exit 1, 1s ago  cc1 19"));
}

TEST_F(TreeViewTest, WhatIsBelowRepeatsIsJoinedToo) {
  tree_.add(living(1, 0, 100, "make"));
  for (pid_t pid = 10; pid < 60; pid += 10) {
    const auto start = static_cast<uint64_t>(100 + pid);
    tree_.add_ended(dead(pid, 1, start, "cc -c", pid == 50 ? 0x100 : 0));
    tree_.add_ended(dead(pid + 1, pid, start + 1, "cc1 x", pid == 50 ? 9 : 0));
    if (pid != 50) tree_.add_ended(dead(pid + 2, pid, start + 2, "as x", 0));
  }
  std::vector<std::string> commands;
  for (const std::string& line : lines()) commands.push_back(line.substr(29));
  EXPECT_THAT(commands, ElementsAre("COMMAND", "make", "├─cc × 4, the last exit 0, 1s ago",
                                    "│ ├─cc1 × 4, the last exit 0, 1s ago",
                                    "│ └─as × 4, the last exit 0, 1s ago",
                                    "└─✗ exit 1, 1s ago  cc -c", "  └─✗ SIGKILL, 1s ago  cc1 x"));
}

TEST_F(TreeViewTest, EachOfTheRepeatsOnRequest) {
  tree_.add(living(1, 0, 100, "make"));
  for (pid_t pid = 10; pid < 20; ++pid) tree_.add_ended(dead(pid, 1, 200, "cc1", 0));
  options_.each = true;
  EXPECT_EQ(lines().size(), 12u);
}

TEST_F(TreeViewTest, RepeatsAtTheTopAndWithoutUtf8) {
  options_.utf8 = false;
  for (pid_t pid = 10; pid < 14; ++pid) tree_.add_ended(dead(pid, 1, 200, "cc1", 9));
  const auto all = lines();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[1], HasSubstr("! cc1 x 4, 4 failed, the last: SIGKILL, 1s ago  cc1"));
}

TEST_F(TreeViewTest, RepeatsCountAsShown) {
  terminal(80);
  for (pid_t pid = 10; pid < 50; ++pid) tree_.add(living(pid, 1, 200, "a"));
  for (pid_t pid = 50; pid < 80; ++pid) tree_.add(living(pid, 1, 300, "b" + std::to_string(pid)));
  EXPECT_THAT(lines(10).back(), testing::StartsWith("23 more below"));
}

TEST_F(TreeViewTest, ColoursOnlyTheScreenThatHasThem) {
  small_tree();
  terminal(80);
  options_.screen.colour = true;
  std::string out;
  TreeView(options_).show(tree_, out);
  EXPECT_THAT(out, HasSubstr("\033[33m✗ exit 1, 1s ago\033[0m"));
}

TEST_F(TreeViewTest, JsonHasOneObjectALine) {
  small_tree();
  const auto all = json();
  ASSERT_EQ(all.size(), 5u);
  EXPECT_THAT(all[0],
              testing::StartsWith("{\"alive\":true,\"depth\":0,\"age_ns\":998000000000,\"time\":"));
  EXPECT_THAT(all[3],
              testing::StartsWith("{\"alive\":false,\"depth\":2,\"age_ns\":2000000,\"time\":"));
  EXPECT_THAT(all[3], HasSubstr("\"exit_code\":1"));
  EXPECT_THAT(all[3], HasSubstr("\"ppid\":812"));
  EXPECT_THAT(all[0], Not(HasSubstr("\"type\"")));
}

TEST(Locale, IsThatOfTheEnvironment) {
  const char* before = ::getenv("LC_ALL");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("LC_ALL", "C.UTF-8", 1);
  EXPECT_TRUE(is_utf8_locale());
  ::setenv("LC_ALL", "C", 1);
  EXPECT_FALSE(is_utf8_locale());
  before == nullptr ? ::unsetenv("LC_ALL") : ::setenv("LC_ALL", kept.c_str(), 1);
}

TEST(EventCopy, OwnsItsStrings) {
  std::vector<EventCopy> all;
  for (int i = 0; i < 3; ++i) {
    EventForTest event;
    event.comm("a" + std::to_string(i)).args(std::string(100, static_cast<char>('0' + i)));
    all.emplace_back(event);  // this may move the earlier elements
  }
  for (int i = 0; i < 3; ++i) {
    const knell_event& event = all[static_cast<size_t>(i)].event();
    EXPECT_EQ(view(event.comm), "a" + std::to_string(i));
    EXPECT_EQ(view(event.args), std::string(100, static_cast<char>('0' + i)));
    EXPECT_EQ(event.exe.data, nullptr);
  }
}

}  // namespace
}  // namespace knell::cli
