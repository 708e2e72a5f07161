// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A listener over its lifetime: its mask and its pids change while events come, it loses events and
// reports that, it removes processes that have ended, and it works for an ordinary user.
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "lib/child_for_test.h"
#include "support/needs.h"
#include "support/stage.h"

namespace knell::test {
namespace {

// A storm whose processes are not in the report of the scenario.
Scenario storming(int count, int nth) {
  return [=](std::vector<Fate>& fates) {
    storm(count, nth, 1);
    fates.push_back({});
  };
}

Child waiting_child(Pipe& gate, int code) {
  return Child::fork([&gate, code] {
    gate.write.reset();
    char byte;
    return ::read(gate.read.get(), &byte, 1) == 0 ? code : 1;
  });
}

}  // namespace

// ------------------------------------------------------------------------------------------------------
// the mask

TEST(Listener, MaskCanBeWidenedAndNarrowed) {
  KNELL_NEEDS(lacks_connector());
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT, .details = KNELL_DETAILS_STATUS});
  const auto exits_with = [&](int code) {
    Child child = Child::fork([&] { return code; });
    const pid_t pid = child.pid();
    EXPECT_TRUE(child.wait());
    return pid;
  };
  const pid_t narrow = exits_with(0);
  ASSERT_FALSE(recorder.listener().set_events(KNELL_EVENT_EXIT | KNELL_EVENT_FORK));
  const pid_t wide = exits_with(0);
  ASSERT_TRUE(recorder.read_until_exit_of(wide));
  ASSERT_FALSE(recorder.listener().set_events(KNELL_EVENT_NONZERO_EXIT));
  const pid_t narrow_again = exits_with(0), last = exits_with(3);
  ASSERT_TRUE(recorder.read_until_exit_of(last));
  EXPECT_TRUE(recorder.of(narrow).empty()) << text_of(recorder.of(narrow));
  EXPECT_EQ(recorder.of(wide).size(), 2u) << text_of(recorder.of(wide));
  EXPECT_TRUE(recorder.of(narrow_again).empty()) << text_of(recorder.of(narrow_again));
  EXPECT_EQ(recorder.of(last).size(), 1u) << text_of(recorder.of(last));
}

TEST(Listener, MaskOfZeroIsAllEvents) {
  KNELL_NEEDS(lacks_connector());
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT, .details = KNELL_DETAILS_STATUS});
  ASSERT_FALSE(recorder.listener().set_events(0));
  Child child = Child::fork([] { return 0; });
  const pid_t pid = child.pid();
  ASSERT_TRUE(child.wait());
  ASSERT_TRUE(recorder.read_until_exit_of(pid));
  EXPECT_EQ(recorder.of(pid).size(), 2u) << text_of(recorder.of(pid));  // its fork too
}

TEST(Listener, WorksAfterAForkedChildClosedIt) {
  KNELL_NEEDS(lacks_connector());
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT, .details = KNELL_DETAILS_STATUS});
  Child closing = Child::fork([&] {
    const bool refused = recorder.listener().set_events(KNELL_EVENT_FORK) ==
                         std::error_code(EINVAL, std::generic_category());
    knell_close(recorder.listener().get());
    return refused ? 7 : 8;
  });
  const pid_t first = closing.pid();
  ASSERT_TRUE(closing.wait());
  Child later = Child::fork([] { return 3; });
  const pid_t last = later.pid();
  ASSERT_TRUE(later.wait());
  ASSERT_TRUE(recorder.read_until_exit_of(last));
  ASSERT_EQ(recorder.of(first).size(), 1u) << text_of(recorder.of(first));
  EXPECT_EQ(recorder.of(first).front().status(), 7 << 8);
}

TEST(Listener, NothingBothMasksWantIsLostWhenTheMaskChanges) {
  KNELL_NEEDS(lacks_connector());
  constexpr int kChildren = 3000;
  for (const uint32_t details : {KNELL_DETAILS_STATUS, KNELL_DETAILS_FULL}) {
    Stage stage(storming(kChildren, 1));
    Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                       .details = details,
                       .matches = {{"under", stage.name()}}});
    ASSERT_TRUE(recorder.ok());
    stage.begin();
    for (bool wide = true; !stage.over(std::chrono::milliseconds(1)); wide = !wide) {
      ASSERT_FALSE(recorder.listener().set_events(wide ? KNELL_EVENT_EXIT | KNELL_EVENT_COMM
                                                       : KNELL_EVENT_NONZERO_EXIT));
      recorder.drain();
    }
    ASSERT_FALSE(stage.end().empty());
    ASSERT_TRUE(stage.sentinel(recorder));
    EXPECT_EQ(recorder.of_type(KNELL_EVENT_EXIT).size(), static_cast<size_t>(kChildren) + 1);
    EXPECT_TRUE(recorder.of_type(KNELL_EVENT_LOST).empty());
  }
}

// ------------------------------------------------------------------------------------------------
// pids of its own

TEST(Listener, ReceivesAddedProcessesOnly) {
  KNELL_NEEDS(lacks_connector());
  Pipe gate = make_pipe();
  Child one = waiting_child(gate, 3), two = waiting_child(gate, 4), three = waiting_child(gate, 5);
  Recorder recorder(
      {.events = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_STATUS, .only_added = true});
  Listener& listener = recorder.listener();
  ASSERT_FALSE(listener.add(one.pid(), start_ticks(one.pid()), 0xfeedfacecafe));
  ASSERT_FALSE(listener.add(three.pid(), 0, 17));
  EXPECT_EQ(listener.add(one.pid(), 0, 1), std::errc::file_exists);
  EXPECT_EQ(listener.remove(two.pid()), std::errc::no_such_file_or_directory);
  gate.write.reset();
  const pid_t pids[] = {one.pid(), two.pid(), three.pid()};
  ASSERT_TRUE(one.wait() && two.wait());
  ASSERT_TRUE(recorder.read_until_exit_of(pids[0]));
  ASSERT_TRUE(recorder.read_until_exit_of(pids[2]));
  EXPECT_EQ(recorder.of(pids[0])[0].raw.cookie, 0xfeedfacecafeu);
  EXPECT_EQ(recorder.of(pids[2])[0].raw.cookie, 17u);
  EXPECT_TRUE(recorder.of(pids[1]).empty());
  // The process was removed automatically when it died.
  EXPECT_EQ(listener.remove(pids[0]), std::errc::no_such_file_or_directory);
}

// The exit of the first process was not read when another one with its pid is added.
TEST(Listener, AReusedPidHasTheCookieOfEachProcess) {
  KNELL_NEEDS(lacks_connector());
  for (const uint32_t details : {KNELL_DETAILS_STATUS, KNELL_DETAILS_FULL}) {
    Recorder recorder({.events = KNELL_EVENT_EXIT, .details = details, .only_added = true});
    lib::Child first;
    const pid_t pid = first.pid();
    ASSERT_FALSE(recorder.listener().add(pid, 0, 1));
    const auto second = first.reuse_pid();
    if (second == nullptr) GTEST_SKIP() << "no permission to choose a pid";
    ASSERT_FALSE(recorder.listener().add(pid, 0, 2));
    EXPECT_EQ(recorder.listener().add(pid, 0, 3), std::errc::file_exists);
    second->die();
    ASSERT_TRUE(recorder.read_until([&] { return recorder.of(pid).size() == 2; }));
    for (size_t i = 0; i < 2; ++i) {
      const Seen exit = recorder.of(pid)[i];
      EXPECT_EQ(exit.raw.cookie, i + 1) << exit.text();
      EXPECT_EQ(exit.status(), std::optional<int>(0x700)) << exit.text();
      EXPECT_EQ(exit.raw.flags & KNELL_FLAG_RECOVERED, 0u) << exit.text();
    }
  }
}

TEST(Listener, ReceivesNothingOfARemovedProcess) {
  KNELL_NEEDS(lacks_connector());
  Pipe gate = make_pipe();
  Child one = waiting_child(gate, 3), two = waiting_child(gate, 4);
  Recorder recorder(
      {.events = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_STATUS, .only_added = true});
  ASSERT_FALSE(recorder.listener().add(one.pid(), 0, 1));
  ASSERT_FALSE(recorder.listener().add(two.pid(), 0, 2));
  ASSERT_FALSE(recorder.listener().remove(one.pid()));
  const pid_t first = one.pid(), second = two.pid();
  one.kill();
  ASSERT_TRUE(one.wait());
  gate.write.reset();
  ASSERT_TRUE(recorder.read_until_exit_of(second));
  EXPECT_TRUE(recorder.of(first).empty());
}

TEST(Listener, AddFailsForAProcessThatIsGone) {
  KNELL_NEEDS(lacks_connector());
  Recorder recorder(
      {.events = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_STATUS, .only_added = true});
  Child child = Child::fork([] { return 3; });
  const pid_t pid = child.pid();
  ASSERT_TRUE(child.wait());
  EXPECT_EQ(recorder.listener().add(pid), std::errc::no_such_process);
  // The pid exists, but it is another process than was meant.
  EXPECT_EQ(recorder.listener().add(::getpid(), start_ticks(::getpid()) + 1),
            std::errc::no_such_process);
}

// The process exits before it is added, so its exit event is not received; the exit is reported
// nevertheless.
TEST(Listener, AddOfAZombieReportsItsExit) {
  KNELL_NEEDS(lacks_connector());
  Child child = Child::fork([] { return 6; });
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  Recorder recorder(
      {.events = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_STATUS, .only_added = true});
  ASSERT_FALSE(recorder.listener().add(child.pid(), 0, 5));
  ASSERT_TRUE(recorder.read_until_exit_of(child.pid()));
  const Seen exit = recorder.of(child.pid()).front();
  EXPECT_EQ(exit.status(), std::optional<int>(0x600));
  EXPECT_EQ(exit.raw.cookie, 5u);
}

// The process begins and ends while the listener is open but not read.
TEST(Listener, AddOfAZombieWhoseBirthIsStillQueued) {
  KNELL_NEEDS(lacks_connector());
  for (const uint32_t mask :
       {KNELL_EVENT_EXIT, KNELL_EVENT_NONZERO_EXIT, uint32_t{KNELL_EVENT_ALL}}) {
    for (const uint32_t details : {KNELL_DETAILS_STATUS, KNELL_DETAILS_NAMES, KNELL_DETAILS_FULL}) {
      SCOPED_TRACE(events_text(mask) + ", details " + std::to_string(details));
      Recorder recorder({.events = mask, .details = details, .only_added = true});
      Child child = Child::fork([] { return 5; });
      const pid_t pid = child.pid();
      siginfo_t info{};
      ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
      ASSERT_FALSE(recorder.listener().add(pid));
      ASSERT_TRUE(recorder.read_until_exit_of(pid));
      EXPECT_EQ(recorder.of(pid, KNELL_EVENT_EXIT).front().status(), std::optional<int>(0x500));
      ASSERT_TRUE(child.wait());
      recorder.drain();
      EXPECT_EQ(recorder.of(pid, KNELL_EVENT_EXIT).size(), 1u);
    }
  }
}

// ----------------------------------------------------------------------------------------------------------
// loss

// A listener with room for a few events is not read during a storm, and must report how many it
// lost. A second listener with enough room receives all of them.
TEST(Listener, CountsWhatItLost) {
  KNELL_NEEDS(lacks_connector());
  constexpr int kChildren = 3000;
  const auto exits_and_lost = [](const Recorder& recorder) {
    uint64_t lost = 0;
    for (const Seen& hole : recorder.of_type(KNELL_EVENT_LOST)) lost += hole.raw.lost_count;
    return std::pair<uint64_t, uint64_t>(recorder.of_type(KNELL_EVENT_EXIT).size(), lost);
  };
  for (const uint32_t level : {KNELL_LEVEL_RAW, KNELL_LEVEL_PROCESS}) {
    SCOPED_TRACE(level);
    Stage stage(storming(kChildren, 1));
    Recorder roomy({.events = KNELL_EVENT_EXIT | KNELL_EVENT_FORK | KNELL_EVENT_COREDUMP,
                    .details = KNELL_DETAILS_STATUS,
                    .level = KNELL_LEVEL_RAW});
    Recorder tiny({.events = KNELL_EVENT_EXIT,
                   .details = KNELL_DETAILS_STATUS,
                   .level = level,
                   .buffer_bytes = 16'384});
    ASSERT_TRUE(roomy.ok() && tiny.ok());
    ASSERT_FALSE(stage.play(roomy).empty());
    ASSERT_TRUE(tiny.read_until([&] { return !tiny.of_type(KNELL_EVENT_LOST).empty(); }))
        << text_of(tiny.seen());
    ASSERT_TRUE(stage.sentinel(tiny));
    const std::vector<Seen> holes = tiny.of_type(KNELL_EVENT_LOST);
    for (const Seen& hole : holes) {
      EXPECT_TRUE((hole.raw.has & KNELL_HAS_COUNT) != 0) << hole.text();
      EXPECT_LE(hole.raw.lost_from_ns, hole.raw.lost_until_ns);
      EXPECT_EQ(hole.raw.lost_types & KNELL_EVENT_EXIT, KNELL_EVENT_EXIT);
    }
    ASSERT_TRUE(roomy.read_until_exit_of(stage.sentinels().back()));
    const auto [reported, lost] = exits_and_lost(tiny);
    // Other processes exit as well. All that the tiny listener lost came before this sentinel, so
    // the roomy one has received it now.
    ASSERT_TRUE(stage.sentinel(roomy));
    const auto [all, none] = exits_and_lost(roomy);
    EXPECT_GT(lost, 0u);
    EXPECT_EQ(none, 0u);
    EXPECT_GE(reported + lost, static_cast<uint64_t>(kChildren) + 1);
    // The roomy listener was opened before the tiny one and read after it. At process level the
    // socket of the tiny one also gets core dumps and forks of threads, of which the storm has
    // none.
    const auto others = std::ranges::count_if(roomy.seen(), [](const Seen& seen) {
      return seen.type() == KNELL_EVENT_COREDUMP ||
             (seen.type() == KNELL_EVENT_FORK && seen.raw.child_tid != seen.raw.child_pid);
    });
    EXPECT_LE(reported + lost, all + static_cast<uint64_t>(others));
    EXPECT_EQ(tiny.listener().stats().lost, lost);
  }
}

TEST(Listener, LossPassesEveryPredicate) {
  KNELL_NEEDS(lacks_connector());
  Stage stage(storming(3000, 1));
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                     .details = KNELL_DETAILS_STATUS,
                     .buffer_bytes = 16'384,
                     .matches = {{"ended", "250"}}});
  ASSERT_FALSE(stage.play_unread().empty());
  EXPECT_TRUE(recorder.read_until([&] { return !recorder.of_type(KNELL_EVENT_LOST).empty(); }));
}

// --------------------------------------------------------------------------------------------------------
// memory

// If zero exits are filtered out, no event says that a process has ended: the sweep removes it.
TEST(Listener, ForgetsProcessesWhoseExitsAreFilteredOut) {
  KNELL_NEEDS(lacks_connector());
  const int children = in_vm() ? 2000 : 20'000;
  Stage stage(storming(children, children));
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT, .matches = {{"under", stage.name()}}});
  ASSERT_TRUE(stage.sentinel(recorder));
  const uint64_t before = recorder.listener().stats().processes;
  ASSERT_FALSE(stage.play(recorder).empty());
  // The sweep continues with each drain: cause some. The connector reports the forks of all
  // processes, so on a busy machine some thousands that just died are in the table at any time.
  const auto few = before + static_cast<uint64_t>(children) / 2;
  for (const Deadline deadline;
       recorder.listener().stats().processes > few && !deadline.passed();) {
    ASSERT_TRUE(stage.sentinel(recorder));
  }
  EXPECT_LE(recorder.listener().stats().processes, few);
  EXPECT_EQ(recorder.listener().stats().forgotten, 0u);
  EXPECT_TRUE(recorder.of_type(KNELL_EVENT_LOST).empty());
}

TEST(Listener, ManyCanBeOpenAtOnce) {
  KNELL_NEEDS(lacks_connector());
  std::vector<std::unique_ptr<Recorder>> recorders;
  for (int i = 0; i < 20; i++) {
    recorders.push_back(std::make_unique<Recorder>(
        Recorder::Wish{.events = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_STATUS}));
  }
  recorders.erase(recorders.begin());  // closing one must not end the subscription of the others
  Child child = Child::fork([] { return 3; });
  for (const auto& recorder : recorders) {
    ASSERT_TRUE(recorder->read_until_exit_of(child.pid()));
    EXPECT_EQ(recorder->of(child.pid()).size(), 1u);
  }
}

// ------------------------------------------------------------------------------------------------
// an ordinary user

TEST(Listener, WorksForUserNobody) {
  KNELL_NEEDS(lacks_kernel_filter());
  KNELL_NEEDS(lacks_root());
  Stage stage([](std::vector<Fate>& fates) {
    for (const int code : {0, 3}) {
      const pid_t pid = fork_running([&] { return code; });
      fates.push_back({.pid = pid, .status = reap(pid)});
    }
  });
  Child nobody = Child::fork([&] {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(65534, 65534, 65534) != 0 ||
        ::setresuid(65534, 65534, 65534) != 0) {
      return 2;
    }
    for (const uint32_t details : {KNELL_DETAILS_STATUS, KNELL_DETAILS_FULL}) {
      Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                         .details = details,
                         .matches = {{"under", stage.name()}}});
      const std::vector<Fate> fates = stage.play(recorder);
      if (fates.size() != 2 || !stage.sentinel(recorder)) return 3;
      EXPECT_TRUE(recorder.of(fates[0].pid).empty());
      const std::vector<Seen> exits = recorder.of(fates[1].pid);
      EXPECT_TRUE(exits.size() == 1 && exits[0].status() == std::optional<int>(0x300))
          << text_of(exits);
    }
    return testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_EQ(nobody.wait(), std::optional<int>(0))
      << "see the failures above, reported by the child";
}

}  // namespace knell::test
