// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The reported sender of the signal that killed a process, and of the last signal before, for each
// case in support/ways_to_die.h, with bpf and through the daemon: compared with the process that
// sent the signal in the test. Prints a table.
//
// A wrong sender is a failure. A missing sender is a failure as well if it is missing in more than
// a quarter of the rounds: the kernel does not run the BPF programs for every signal (an interrupt
// may come while one of them runs, a kernel may skip some processes), and then no sender is
// reported.
//
// KNELL_TEST_ROUNDS: how often each way is tested (1). KNELL_TEST_WAY: only the ways with this in
// their names.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>

#include "support/daemon.h"
#include "support/needs.h"
#include "support/nested.h"
#include "support/recorder.h"
#include "support/stage.h"
#include "support/ways_to_die.h"

namespace knell::test {
namespace {

constexpr int kMore = 15;  // rounds of a test in which no sender was reported at first

int rounds() {
  const char* given = std::getenv("KNELL_TEST_ROUNDS");
  return given == nullptr ? 1 : std::atoi(given);
}

// A process in which a victim is made and killed.
Truth go(const WayToDie& way) {
  Pipe says = make_pipe();
  Child stage = Child::fork([&] {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    const Truth truth = way.go();
    return ::write(says.write.get(), &truth, sizeof truth) == sizeof truth ? 0 : 1;
  });
  says.write.reset();
  Truth truth;
  const auto status = stage.wait();
  if (status != 0 || ::read(says.read.get(), &truth, sizeof truth) != sizeof truth) {
    ADD_FAILURE() << way.name << ": the process of the stage failed: " << status.value_or(-1);
    truth.pid = 0;
  }
  return truth;
}

// The facts as text, without pids, so that it is the same in each round.
std::string text_of(uint32_t cause, pid_t killer, int request, pid_t asker, const Truth& truth) {
  const auto name = [&](pid_t pid) -> std::string {
    if (pid == truth.pid) return " itself";
    if (pid == truth.killer && pid != 0) return " K";
    if (pid == truth.asker && pid != 0) return " A";
    return pid == 0 ? "" : " a bystander";
  };
  constexpr const char* kCauses[] = {"null", "user", "kernel", "oom"};
  std::string text = kCauses[cause <= 3 ? cause : 0] + name(killer);
  if (request != 0) text += std::string(", SIG") + ::sigabbrev_np(request) + " of" + name(asker);
  return text;
}
std::string text_of(const Truth& truth) {
  return text_of(truth.cause, truth.killer, truth.request, truth.asker, truth);
}
std::string text_of(const Seen& exit, const Truth& truth) {
  const auto& killer = exit.raw.killed_by;
  const auto& last = exit.raw.last_signal;
  const bool killed = (exit.raw.has & KNELL_HAS_KILLER) != 0;
  const bool asked = (exit.raw.has & KNELL_HAS_LAST_SIGNAL) != 0;
  return text_of(killed ? killer.cause : 0, killer.pid, asked ? last.signal : 0, last.pid, truth);
}

// What a listener reported for one way, and how often.
using Reports = std::map<std::string, int>;
std::string text_of(const Reports& reported) {
  std::string text;
  for (const auto& [words, count] : reported) {
    if (!text.empty()) text += "; ";
    if (reported.size() > 1) text += std::to_string(count) + " ";
    text += words;
  }
  return text;
}

// The text of a report in which everything is unknown.
std::string nothing(const Truth& truth) { return text_of(0, 0, 0, 0, truth); }

void count_report(Recorder& recorder, const Truth& truth, Reports& reported) {
  const bool came = recorder.read_until_exit_of(truth.pid, truth.status);
  EXPECT_TRUE(came) << "no exit of " << truth.pid;
  if (!came) return;
  const std::vector<Seen> exits = recorder.of(truth.pid, KNELL_EVENT_EXIT);
  const std::string words = text_of(exits.back(), truth);
  if (words != nothing(truth)) {
    EXPECT_EQ(words, text_of(truth)) << exits.back().text();
  }
  ++reported[words];
  recorder.forget();
}

Recorder::Wish exits_under_us(const char* via) {
  return {.events = KNELL_EVENT_EXIT,
          .details = KNELL_DETAILS_NAMES,
          .latency_ns = 0,
          .matches = {{"under", std::to_string(::getpid())}},
          .via = via};
}

// Whether the sender was reported in at least three quarters of the rounds.
bool known(const Reports& reported, const Truth& truth) {
  int all = 0;
  for (const auto& [words, count] : reported) all += count;
  const auto unknown = reported.find(nothing(truth));
  return nothing(truth) == text_of(truth) || unknown == reported.end() ||
         unknown->second * 4 <= all;
}

TEST(Killer, OfEveryWayToDie) {
  KNELL_NEEDS(lacks_bpf());
  Recorder bpf(exits_under_us("bpf"));
  ASSERT_TRUE(bpf.ok());
  std::unique_ptr<Daemon> daemon;
  std::unique_ptr<Recorder> via_daemon;
  if (lacks_knelld().empty()) {
    daemon = std::make_unique<Daemon>();
    daemon->configure("source = \"bpf\"\n");
    ASSERT_TRUE(daemon->start());
    via_daemon = std::make_unique<Recorder>(exits_under_us("daemon"));
    ASSERT_TRUE(via_daemon->ok());
  }
  std::printf("%-36s %-32s %-32s %s\n", "WAY TO DIE", "VIA BPF", "VIA THE DAEMON", "TRUE");
  const char* const only = std::getenv("KNELL_TEST_WAY");
  for (const WayToDie& way : ways_to_die()) {
    if (only != nullptr && std::strstr(way.name, only) == nullptr) continue;
    SCOPED_TRACE(way.name);
    Reports of_bpf, of_daemon;
    Truth truth;
    int most = way.slow ? std::min(rounds(), 3) : rounds();
    for (int round = 0; round < most; round++) {
      truth = go(way);
      if (truth.pid == 0) break;
      count_report(bpf, truth, of_bpf);
      if (via_daemon) count_report(*via_daemon, truth, of_daemon);
      // If a sender was unknown, run more rounds before the test fails.
      if (round == most - 1 && most < kMore && !(known(of_bpf, truth) && known(of_daemon, truth)))
        most = kMore;
    }
    if (truth.pid == 0) of_bpf.clear(), of_daemon.clear();
    EXPECT_TRUE(known(of_bpf, truth) && known(of_daemon, truth));
    std::printf("%-36s %-32s %-32s %s\n", way.name, text_of(of_bpf).c_str(),
                text_of(of_daemon).c_str(),
                truth.lacking[0] != '\0' ? truth.lacking : text_of(truth).c_str());
    (void)std::fflush(stdout);
  }
}

// Runs in a pid namespace of its own: makes children that are killed from outside it until an event
// names a killer (see above), and checks killed_by of that event. The result is an exit status that
// says which check failed.
int report_a_killer_outside(int victims) {
  Recorder inside({.events = KNELL_EVENT_EXIT,
                   .details = KNELL_DETAILS_NAMES,
                   .latency_ns = 0,
                   .via = "daemon"});
  inside.keep_json = true;
  for (int round = 0; inside.ok() && round < kMore; round++) {
    const pid_t victim = fork_running([] { return ::pause(); });
    if (::write(victims, "v", 1) != 1) return 10;
    const int status = reap(victim);
    if (!inside.read_until_exit_of(victim, status)) return 11;
    const Seen exit = inside.of(victim, KNELL_EVENT_EXIT).back();
    if ((exit.raw.has & KNELL_HAS_KILLER) == 0) continue;
    EXPECT_EQ(exit.raw.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER)) << exit.json;
    EXPECT_EQ(exit.raw.killed_by.pid, 0) << exit.json;
    EXPECT_EQ(exit.raw.killed_by.parent_pid, 0) << exit.json;
    const char* const json = R"("killed_by":{"pid":null,"comm":null,"uid":null,"cause":"user",)"
                             R"("parent_pid":null,"parent_comm":null,"unit":null,)";
    EXPECT_NE(exit.json.find(json), std::string::npos) << exit.json;
    return testing::Test::HasFailure() ? 1 : 0;
  }
  return 12;
}

TEST(Killer, OutsideTheListenersPidNamespaceHasNoNumber) {
  KNELL_NEEDS(lacks_bpf());
  KNELL_NEEDS(lacks_knelld());
  KNELL_NEEDS(lacks_pid_namespaces());
  Daemon daemon;
  daemon.configure("source = \"bpf\"\n");
  ASSERT_TRUE(daemon.start());
  const Nested nested(1);
  ASSERT_TRUE(nested.ok());
  Pipe victims = make_pipe();
  Inside listener(nested.first(1), [&] { return report_a_killer_outside(victims.write.get()); });
  victims.write.reset();
  char word = 0;
  while (::read(victims.read.get(), &word, 1) == 1)
    for (const pid_t victim : children_of(listener.pid())) ::kill(victim, SIGKILL);
  EXPECT_EQ(listener.wait(), 0);
}

}  // namespace
}  // namespace knell::test
