// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/listen.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace knell::cli {
namespace {

// The pid of a process that has ended.
pid_t ended_process() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  return pid;
}

Selection parsed(const std::string& text) {
  auto selection = Selection::parse(text);
  EXPECT_TRUE(selection) << text << ": " << selection.error().line;
  return selection.value_or(Selection());
}

TEST(Selection, AProcessThatIsNamedMustExistUnlessItIsInTheSelectionInUse) {
  const pid_t gone = ended_process();
  const Selection other = parsed(fmt::format("--pid {} -C a", gone));
  EXPECT_FALSE(other.check(KNELL_EVENT_EXIT));
  const Selection in_use = parsed(fmt::format("--pid '1,!{0}' --under {0}", gone));
  EXPECT_TRUE(other.check(KNELL_EVENT_EXIT, &in_use));
  EXPECT_FALSE(parsed(fmt::format("--under {}", gone)).check(KNELL_EVENT_EXIT, &in_use))
      << "the library would refuse it";
  Selection recorded = other;
  recorded.set_recorded();
  EXPECT_TRUE(recorded.check(KNELL_EVENT_EXIT));
}

TEST(Selection, EachNumberOfASignalIsAccepted) {
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    const auto good = parsed(fmt::format("--signal {}", signal)).check(KNELL_EVENT_EXIT);
    EXPECT_TRUE(good) << good.error().line;
  }
  EXPECT_FALSE(parsed("--signal 65").check(KNELL_EVENT_EXIT));
}

}  // namespace
}  // namespace knell::cli
