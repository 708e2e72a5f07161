// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// 80,000 processes, one in ten of them failing, as fast as one parent can make them: each failure
// is reported once, and nothing is lost. Pids are reused twice meanwhile.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>

#include "support/command.h"
#include "support/json.h"
#include "support/needs.h"
#include "support/stage.h"

namespace knell::test {
namespace {

constexpr int kOneIn = 10;
constexpr int kFailure = 3;

int processes() { return in_vm() ? 5'000 : 80'000; }

void blow(std::vector<Fate>& fates) {
  storm(processes(), kOneIn, kFailure);
  fates.push_back({});  // the report of a scenario must have an element
}

void expect_every_failure(uint32_t details) {
  Stage stage(blow);
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                     .details = details,
                     .matches = {{"under", stage.name()}}});
  ASSERT_TRUE(recorder.ok());
  ASSERT_FALSE(stage.play(recorder).empty());
  ASSERT_TRUE(stage.sentinel(recorder));
  int failures = 0, sentinels = 0;
  for (const Seen& event : recorder.seen()) {
    ASSERT_EQ(event.type(), KNELL_EVENT_EXIT) << event.text();
    if (event.status() == std::optional<int>(kFailure << 8)) failures++;
    if (event.status() == std::optional<int>(Stage::kSentinelStatus)) sentinels++;
  }
  EXPECT_EQ(failures, processes() / kOneIn);
  EXPECT_EQ(sentinels, 1);
  EXPECT_EQ(recorder.seen().size(), static_cast<size_t>(failures + sentinels));
}

// Parses one line of the command; fails the test when it is not one JSON object.
struct Line {
  std::string type;
  pid_t pid = 0;
  int exit_code = -1;
};
std::optional<Line> parse(const std::string& text) {
  auto fields = parse_json(text);
  if (!fields || (*fields)["type"].kind != JsonValue::Kind::kString) {
    ADD_FAILURE() << "not an event: " << text;
    return std::nullopt;
  }
  return Line{.type = (*fields)["type"].text,
              .pid = static_cast<pid_t>((*fields)["pid"].number().value_or(0)),
              .exit_code = static_cast<int>((*fields)["exit_code"].number().value_or(-1))};
}

}  // namespace

TEST(Storm, EveryFailureWithAllDetails) {
  KNELL_NEEDS(lacks_connector());
  expect_every_failure(KNELL_DETAILS_FULL);
}

TEST(Storm, EveryFailureWithStatusOnly) {
  KNELL_NEEDS(lacks_connector());
  expect_every_failure(KNELL_DETAILS_STATUS);
}

// Runs the storm with the command, and reads its output up to the last line.
TEST(Storm, EveryFailureIsALineOfTheCommand) {
  KNELL_NEEDS(lacks_connector());
  KNELL_NEEDS(lacks_knell_command());
  Stage stage(blow);
  Recorder witness({.events = KNELL_EVENT_NONZERO_EXIT, .details = KNELL_DETAILS_STATUS});
  Command knell({"watch", "-e", "nonzero-exit", "-o", "json", "--under", stage.name()});
  ASSERT_TRUE(knell.wait_until_listening([&] { ASSERT_TRUE(stage.sentinel(witness)); }));
  stage.begin();
  int failures = 0;
  const auto count = [&](const std::string& text) -> std::optional<Line> {
    const std::optional<Line> line = parse(text);
    if (!line) return line;
    EXPECT_EQ(line->type, "exit") << text;
    if (line->exit_code == kFailure) failures++;
    EXPECT_TRUE(line->exit_code == kFailure || line->exit_code == Stage::kSentinelStatus >> 8)
        << text;
    return line;
  };
  // Reads the command's output during the storm, as a program behind a pipe does.
  while (!stage.over(std::chrono::milliseconds(0))) {
    while (const auto text = knell.line(Deadline(std::chrono::milliseconds(10))))
      ASSERT_TRUE(count(*text));
    ASSERT_TRUE(knell.timed_out()) << "knell ended in mid-storm";
    witness.drain();
    witness.forget();
  }
  ASSERT_FALSE(stage.end().empty());
  ASSERT_TRUE(stage.sentinel(witness));
  const pid_t last = stage.sentinels().back();
  for (;;) {
    const auto text = knell.line();
    ASSERT_TRUE(text) << "the last line was not printed; " << failures << " failures were reported";
    const auto line = count(*text);
    ASSERT_TRUE(line);
    if (line->pid == last && line->exit_code == Stage::kSentinelStatus >> 8) break;
  }
  knell.child().kill(SIGINT);
  while (const auto text = knell.line()) ADD_FAILURE() << "an additional line: " << *text;
  EXPECT_FALSE(knell.timed_out());
  EXPECT_EQ(knell.child().wait(), std::optional<int>(0));
  EXPECT_EQ(failures, processes() / kOneIn);
}

}  // namespace knell::test
