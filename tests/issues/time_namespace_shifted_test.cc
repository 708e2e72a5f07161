// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// In a time namespace the clocks and the starts in /proc are shifted, the kernel's timestamps are
// not: times were wrong by the shift, ids differed, and over the connector nothing about a process
// was known.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <string>

#include "support/child.h"
#include "support/command.h"
#include "support/daemon.h"
#include "support/json.h"
#include "support/needs.h"

namespace knell::test {
namespace {

// The next event of that type about that process; empty when it does not come.
JsonObject reported_by(Command& knell, const std::string& type, pid_t pid) {
  while (const auto line = knell.line()) {
    const auto event = parse_json(*line);
    if (event && event->at("type").text == type && event->at("pid").number() == pid) return *event;
  }
  return {};
}

long difference(const JsonObject& one, const JsonObject& other, const char* field) {
  return std::abs(one.at(field).number().value_or(0) - other.at(field).number().value_or(0));
}

// The `time` of an event, in whole seconds.
time_t seconds(const std::string& time) {
  tm parts{};
  EXPECT_NE(::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &parts), nullptr) << time;
  return ::timegm(&parts);
}

class TimeNamespaceShifted : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knell_command());
    KNELL_NEEDS(lacks_root());
    KNELL_NEEDS(lacks_file("/proc/self/timens_offsets"));
    KNELL_NEEDS(lacks_file("/usr/bin/unshare"));
    KNELL_NEEDS(GetParam() == std::string("connector") ? lacks_connector() : lacks_bpf());
  }
};

TEST_P(TimeNamespaceShifted, ReportsWhatIsReportedOutside) {
  Daemon daemon;
  if (GetParam() == std::string("daemon")) {
    KNELL_NEEDS(lacks_knelld());
    ASSERT_TRUE(daemon.start());
  }
  const std::vector<std::string> watch{"watch",     "--via",     GetParam(),
                                       "-e",        "exec,exit", "-C",
                                       "exit_with", "--under",   std::to_string(::getpid()),
                                       "--latency", "0",         "-o",
                                       "json"};
  for (const char* shift : {"86400", "-1"}) {
    Command outside(watch);
    Command inside(watch, {"/usr/bin/unshare", "-T", "--monotonic", shift, "--boottime", shift,
                           "--fork", "--kill-child"});
    for (Command* knell : {&outside, &inside}) {
      ASSERT_TRUE(knell->wait_until_listening([] {
        Pipe input = make_pipe();
        Child child =
            Child::spawn({victim("exit_with"), "1", "after-eof"}, {.in = input.read.get()});
        wait_for_exec(child.pid(), victim("exit_with"));
        input.write.reset();
        child.wait();
      }));
    }
    Pipe input = make_pipe();
    Child child = Child::spawn({victim("exit_with"), "7", "after-eof"}, {.in = input.read.get()});
    const pid_t pid = child.pid();
    // The child lives until both listeners have reported its exec, since over the connector its
    // name is read from /proc.
    ASSERT_FALSE(reported_by(outside, "exec", pid).empty());
    ASSERT_FALSE(reported_by(inside, "exec", pid).empty());
    input.write.reset();
    const JsonObject expected = reported_by(outside, "exit", pid),
                     reported = reported_by(inside, "exit", pid);
    ASSERT_FALSE(expected.empty());
    ASSERT_FALSE(reported.empty());
    for (const char* field :
         {"id", "parent_id", "comm", "parent_comm", "exe", "uid", "cgroup", "exit_code"}) {
      EXPECT_EQ(reported.at(field).text, expected.at(field).text) << field;
    }
    EXPECT_EQ(reported.at("comm").text, "exit_with");
    // Two bpf sources stamp the same event separately.
    constexpr long kSecondNs = 1'000'000'000;
    EXPECT_LT(difference(reported, expected, "mono_ns"), kSecondNs);
    EXPECT_LT(difference(reported, expected, "duration_ns"), kSecondNs);
    EXPECT_LE(std::abs(seconds(reported.at("time").text) - seconds(expected.at("time").text)), 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Via, TimeNamespaceShifted, testing::Values("bpf", "connector", "daemon"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace knell::test
