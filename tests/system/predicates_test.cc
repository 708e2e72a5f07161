// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Predicates from end to end: of several different children, exactly the right ones are reported.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "support/needs.h"
#include "support/stage.h"

namespace knell::test {
namespace {

using Matches = std::vector<std::pair<std::string, std::string>>;

// One child of the test: its name, and how it ends.
struct Part {
  std::string comm;
  int exit_code = 0;
  int signal = 0;  // the signal that ends it instead
};

int play_part(const Part& part) {
  ::prctl(PR_SET_NAME, part.comm.c_str());
  if (part.signal != 0) {
    ::signal(part.signal, SIG_DFL);
    ::raise(part.signal);
  }
  return part.exit_code;
}

// The names of the reported children, in the order of their deaths. The last child in `parts` must
// be reported: no further event comes after it.
std::vector<std::string> reported(const Matches& matches, const std::vector<Part>& parts,
                                  uint32_t details = KNELL_DETAILS_FULL) {
  Recorder recorder({.events = KNELL_EVENT_EXIT, .details = details, .matches = matches});
  std::vector<pid_t> pids;
  for (const Part& part : parts) {
    Child child = Child::fork([&] { return play_part(part); });
    pids.push_back(child.pid());
    EXPECT_TRUE(child.wait());
  }
  EXPECT_TRUE(recorder.read_until_exit_of(pids.back())) << "seen:\n" << text_of(recorder.seen());
  std::vector<std::string> names;
  for (size_t i = 0; i < parts.size(); i++) {
    for (size_t n = recorder.of(pids[i], KNELL_EVENT_EXIT).size(); n > 0; n--)
      names.push_back(parts[i].comm);
  }
  return names;
}

using Names = std::vector<std::string>;

// A shell that ends when `gate` is closed. `terminal`: its controlling terminal.
Child shell_at(int gate, const char* terminal) {
  return Child::fork([=] {
    ::setsid();
    ::dup2(gate, STDIN_FILENO);
    if (terminal != nullptr) (void)::open(terminal, O_RDWR);
    return ::execl("/bin/sh", "sh", "-c", "read x; exit 1", nullptr);
  });
}

}  // namespace

TEST(Predicates, CommGlob) {
  KNELL_NEEDS(lacks_connector());
  const std::vector<Part> parts{{"other", 1}, {"knell_b", 0}, {"knell_a", 1}};
  EXPECT_EQ(reported({{"comm", "knell_*"}}, parts), (Names{"knell_b", "knell_a"}));
  EXPECT_EQ(reported({{"comm", "knell_[a]"}}, parts), (Names{"knell_a"}));
}

TEST(Predicates, Tty) {
  KNELL_NEEDS(lacks_connector());
  const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal && ::grantpt(terminal.get()) == 0 && ::unlockpt(terminal.get()) == 0);
  const std::string path = ::ptsname(terminal.get());
  const std::string name = path.substr(std::string("/dev/").size());
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  Recorder recorder({.events = KNELL_EVENT_EXEC | KNELL_EVENT_EXIT, .matches = {{"tty", path}}});
  Child other = shell_at(reading.get(), nullptr);
  Child child = shell_at(reading.get(), path.c_str());
  const pid_t none = other.pid(), at_it = child.pid();
  EXPECT_TRUE(recorder.read_until([&] { return !recorder.of(at_it, KNELL_EVENT_EXEC).empty(); }));
  writing.reset();
  EXPECT_TRUE(other.wait());
  EXPECT_TRUE(child.wait());
  EXPECT_TRUE(recorder.read_until_exit_of(at_it)) << text_of(recorder.seen());
  EXPECT_TRUE(recorder.of(none).empty()) << "the process has none";
  for (const Seen& seen : recorder.of(at_it)) EXPECT_EQ(seen.tty, name) << seen.text();
}

TEST(Predicates, CommExcluded) {
  KNELL_NEEDS(lacks_connector());
  EXPECT_EQ(reported({{"comm", "!knell_b"}}, {{"other", 1}, {"knell_b", 1}, {"knell_a", 1}}),
            (Names{"other", "knell_a"}));
}

TEST(Predicates, AlternativesByCommaAndByRepeating) {
  KNELL_NEEDS(lacks_connector());
  const std::vector<Part> parts{{"knell_a", 1}, {"knell_b", 1}, {"knell_c", 1}};
  EXPECT_EQ(reported({{"comm", "knell_a,knell_c"}}, parts), (Names{"knell_a", "knell_c"}));
  EXPECT_EQ(reported({{"comm", "knell_a"}, {"comm", "knell_c"}}, parts),
            (Names{"knell_a", "knell_c"}));
}

TEST(Predicates, DifferentKeysMustAllHold) {
  KNELL_NEEDS(lacks_connector());
  EXPECT_EQ(reported({{"comm", "knell_*"}, {"ended", "3"}},
                     {{"knell_a", 1}, {"other", 3}, {"knell_b", 3}}),
            (Names{"knell_b"}));
}

TEST(Predicates, EndedByCode) {
  KNELL_NEEDS(lacks_connector());
  const std::vector<Part> parts{
      {"zero", 0}, {"one", 1}, {"term", 0, SIGTERM}, {"two", 2}, {"255", 255}};
  EXPECT_EQ(reported({{"ended", "2-255"}}, parts), (Names{"two", "255"}));
  EXPECT_EQ(reported({{"ended", "0,255"}}, parts), (Names{"zero", "255"}));
}

TEST(Predicates, EndedBySignal) {
  KNELL_NEEDS(lacks_connector());
  const std::vector<Part> parts{{"nine", 9}, {"term", 0, SIGTERM}, {"kill", 0, SIGKILL}};
  EXPECT_EQ(reported({{"ended", "signal"}}, parts), (Names{"term", "kill"}));
  EXPECT_EQ(reported({{"ended", "SIGKILL"}}, parts), (Names{"kill"}));
  EXPECT_EQ(reported({{"ended", "!SIGTERM"}}, parts), (Names{"nine", "kill"}));
}

TEST(Predicates, WithTheLeastDetailsToo) {
  KNELL_NEEDS(lacks_connector());
  EXPECT_EQ(reported({{"ended", "7"}}, {{"a", 6}, {"b", 7}}, KNELL_DETAILS_STATUS), (Names{"b"}));
  EXPECT_EQ(reported({{"comm", "knell_b"}}, {{"a", 6}, {"knell_b", 7}}, KNELL_DETAILS_STATUS),
            (Names{"knell_b"}));
}

TEST(Predicates, Exe) {
  KNELL_NEEDS(lacks_connector());
  Recorder recorder({.events = KNELL_EVENT_EXIT, .matches = {{"exe", "*/exit_with"}}});
  Child own = Child::fork([] { return 3; });
  const pid_t own_pid = own.pid();
  ASSERT_TRUE(own.wait());
  Pipe input = make_pipe();
  Child program = Child::spawn({victim("exit_with"), "3", "after-eof"}, {.in = input.read.get()});
  const pid_t pid = program.pid();
  ASSERT_TRUE(wait_for_exec(pid, victim("exit_with")));
  recorder.drain();  // reads the exec while the process lives
  input.write.reset();
  ASSERT_TRUE(recorder.read_until_exit_of(pid));
  EXPECT_EQ(recorder.of(pid).size(), 1u);
  EXPECT_TRUE(recorder.of(own_pid).empty());
}

TEST(Predicates, Uid) {
  KNELL_NEEDS(lacks_connector());
  KNELL_NEEDS(lacks_root());
  Recorder recorder({.events = KNELL_EVENT_EXIT, .matches = {{"uid", "65534"}}});
  Child root = Child::fork([] { return 3; });
  const pid_t root_pid = root.pid();
  ASSERT_TRUE(root.wait());
  Child other = Child::fork([] { return ::setresuid(65534, 65534, 65534) == 0 ? 3 : 4; });
  ASSERT_TRUE(recorder.read_until_exit_of(other.pid()));
  EXPECT_TRUE(recorder.of(root_pid).empty());
}

TEST(Predicates, Pid) {
  KNELL_NEEDS(lacks_connector());
  Pipe gate = make_pipe();
  const auto when_sent = [&] {
    gate.write.reset();
    char byte;
    return ::read(gate.read.get(), &byte, 1) == 0 ? 3 : 1;
  };
  Child one = Child::fork(when_sent), two = Child::fork(when_sent);
  Recorder recorder({.events = KNELL_EVENT_EXIT, .matches = {{"pid", std::to_string(two.pid())}}});
  const pid_t pid = two.pid();
  one.kill();
  ASSERT_TRUE(one.wait());
  gate.write.reset();
  ASSERT_TRUE(recorder.read_until_exit_of(pid));
  EXPECT_EQ(recorder.seen().size(), 1u) << text_of(recorder.seen());
}

// --longer with a time shorter than the lifetime, and with a longer one.
TEST(Predicates, LongerAndShorter) {
  KNELL_NEEDS(lacks_connector());
  Pipe gate = make_pipe();
  // Of this process's children only: `shorter` is not read for a while, and must not overflow.
  const auto ours = std::pair("under", std::to_string(::getpid()));
  Recorder longer({.events = KNELL_EVENT_EXIT, .matches = {ours, {"longer", "100ms"}}});
  Recorder shorter({.events = KNELL_EVENT_EXIT, .matches = {ours, {"shorter", "1h"}}});
  Recorder never({.events = KNELL_EVENT_EXIT, .matches = {ours, {"longer", "1000h"}}});
  Child child = Child::fork([&] {
    gate.write.reset();
    char byte;
    return ::read(gate.read.get(), &byte, 1) == 0 ? 3 : 1;
  });
  const pid_t pid = child.pid();
  for (const Deadline lived(std::chrono::milliseconds(200)); !lived.passed();)
    ::poll(nullptr, 0, lived.left_ms());
  gate.write.reset();
  EXPECT_TRUE(longer.read_until_exit_of(pid));
  EXPECT_TRUE(shorter.read_until_exit_of(pid));
  never.drain();
  EXPECT_TRUE(never.of(pid).empty());
}

// A predicate also applies to events that are already in the queue when it is added.
TEST(Predicates, ApplyToQueuedEvents) {
  KNELL_NEEDS(lacks_connector());
  Recorder recorder({.events = KNELL_EVENT_EXIT});
  Child before = Child::fork([] { return play_part({"knell_no", 3}); });
  const pid_t before_pid = before.pid();
  ASSERT_TRUE(before.wait());
  ASSERT_FALSE(recorder.listener().match("comm", "knell_yes"));
  Child after = Child::fork([] { return play_part({"knell_yes", 3}); });
  ASSERT_TRUE(recorder.read_until_exit_of(after.pid()));
  EXPECT_TRUE(recorder.of(before_pid).empty());
}

TEST(Predicates, UnderMatchesGrandchildrenAndNotSiblings) {
  KNELL_NEEDS(lacks_connector());
  Stage stage([](std::vector<Fate>& fates) {
    const pid_t pid =
        fork_running([] { return reap(fork_running([] { return 3; })) == 0x300 ? 4 : 5; });
    fates.push_back({.pid = pid, .status = reap(pid)});
  });
  Recorder recorder({.events = KNELL_EVENT_EXIT, .matches = {{"under", stage.name()}}});
  Child neighbour = Child::fork([] { return 3; });
  const pid_t neighbour_pid = neighbour.pid();
  ASSERT_TRUE(neighbour.wait());
  const std::vector<Fate> fates = stage.play(recorder);
  ASSERT_TRUE(stage.sentinel(recorder));
  EXPECT_TRUE(recorder.of(neighbour_pid).empty());
  EXPECT_EQ(recorder.seen().size(), 3u) << text_of(recorder.seen());  // grandchild, child, sentinel
  EXPECT_EQ(recorder.seen().at(0).status(), std::optional<int>(0x300));
  EXPECT_EQ(recorder.seen().at(1).pid(), fates.at(0).pid);
}

TEST(Predicates, InvalidValuesAreRefusedWithAMessage) {
  KNELL_NEEDS(lacks_connector());
  Recorder recorder({.events = KNELL_EVENT_EXIT});
  ASSERT_TRUE(recorder.ok());
  EXPECT_EQ(recorder.listener().match("com", "x"), std::errc::invalid_argument);
  EXPECT_NE(std::string(knell_explain()).find("com"), std::string::npos) << knell_explain();
  EXPECT_EQ(recorder.listener().match("ended", "SIGNONE"), std::errc::invalid_argument);
  Child gone = Child::fork([] { return 0; });
  const std::string name = std::to_string(gone.pid());
  ASSERT_TRUE(gone.wait());
  EXPECT_EQ(recorder.listener().match("under", name), std::errc::no_such_process);
}

}  // namespace knell::test
