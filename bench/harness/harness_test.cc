// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/cn_proc.h>

#include <numeric>

#include "bench/harness/contender.h"
#include "bench/harness/report.h"

namespace knell::bench {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::vector<double> up_to(size_t n) {
  std::vector<double> values(n);
  std::iota(values.begin(), values.end(), 1.0);
  return values;
}

TEST(Statistics, MedianAndQuantile) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
  EXPECT_EQ(quantile(up_to(100), 0.99), 99);
  EXPECT_EQ(quantile({7}, 0.999), 7);
}

// The ranks are those of the usual table of the sign test's interval.
TEST(Statistics, IntervalHasTheRanksOfTheBinomialTable) {
  const struct {
    size_t n;
    double low, high;
    bool is_95;
  } kTable[] = {{5, 1, 5, false},  {6, 1, 6, true},    {9, 2, 8, true},
                {25, 8, 18, true}, {50, 18, 33, true}, {100, 40, 61, true}};
  for (const auto& [n, low, high, is_95] : kTable) {
    const Interval interval = interval_of_median(up_to(n));
    EXPECT_EQ(interval.low, low) << n;
    EXPECT_EQ(interval.high, high) << n;
    EXPECT_EQ(interval.is_95, is_95) << n;
  }
}

constexpr Metric kMs{"ms", 1};
constexpr Metric kLost{"lost", 0, Metric::Shown::kSum};
constexpr Metric kMaximum{"max", 0, Metric::Shown::kMaximum};

Report sample(size_t rounds) {
  Report report;
  for (size_t i = 1; i <= rounds; ++i) {
    report.add("exits", "knell", kMs, static_cast<double>(i));
    report.add("exits", "knell", kLost, 2);
    report.add("exits", "knell", kMaximum, static_cast<double>(40 + i));
  }
  report.absent("extrace", "not installed");
  return report;
}

TEST(Report, ShowsMediansWithIntervalsSumsAndMaxima) {
  EXPECT_THAT(sample(6).to_text(), AllOf(HasSubstr("knell  3.5 [1.0, 6.0]  12    46\n"),
                                         HasSubstr("absent: extrace: not"), Not(HasSubstr("*"))));
}

TEST(Report, MarksAShortRunAndAPartialOne) {
  Report report = sample(3);
  report.set_partial();
  EXPECT_THAT(report.to_text(),
              AllOf(HasSubstr("2.0 [1.0, 3.0]*"), HasSubstr("fewer than 6 rounds"),
                    HasSubstr("interrupted: a partial result")));
}

// Of a storm of three processes, of which 12 fails, and the marker 14.
std::pair<uint64_t, uint64_t> compared(uint32_t mask, std::vector<int32_t> exits) {
  Recording recording{.mask = mask};
  for (const int32_t pid : exits) recording.events.push_back({KNELL_EVENT_EXIT, pid, 0});
  StormResult storm;
  storm.processes = {{11, 0}, {12, 1}, {13, 0}};
  storm.marker = 14;
  const Comparison result = compare(storm, recording);
  return {result.lost, result.unexpected};
}

TEST(Compare, CountsWhatIsMissingAndWhatIsTooMuch) {
  using Counts = std::pair<uint64_t, uint64_t>;
  EXPECT_EQ(compared(KNELL_EVENT_EXIT, {12, 11, 99, 13, 14}), Counts(0, 0));
  EXPECT_EQ(compared(KNELL_EVENT_EXIT, {14}), Counts(3, 0));
  EXPECT_EQ(compared(KNELL_EVENT_NONZERO_EXIT, {14}), Counts(1, 0));
  EXPECT_EQ(compared(KNELL_EVENT_NONZERO_EXIT, {11, 12, 14}), Counts(0, 1));
  EXPECT_EQ(compared(KNELL_EVENT_EXIT, {11, 12, 12, 13, 14}), Counts(0, 1));
  EXPECT_EQ(compared(KNELL_EVENT_FORK, {}), Counts(4, 0));
}

TEST(ParseLine, ReadsThePidOfEachKindOfLine) {
  const struct {
    const char *program, *line;
    uint32_t type;
    int32_t pid;
  } kLines[] = {
      {"forkstat", "16:46:24 exit  26033      0   0.002s mkdir -p", KNELL_EVENT_EXIT, 26033},
      {"forkstat", "16:46:24 exec  26033                 mkdir -p", KNELL_EVENT_EXEC, 26033},
      {"forkstat", "16:46:24 fork  26033 child           bash", KNELL_EVENT_FORK, 26033},
      {"forkstat", "16:46:24 fork   6088 parent          bash", 0, 0},
      {"forkstat", "Time     Event   PID Info   Duration Process", 0, 0},
      {"extrace", "    26033+ mkdir -p x", KNELL_EVENT_EXEC, 26033},
      {"extrace", "  26033- mkdir exited status=0 time=0.002s", KNELL_EVENT_EXIT, 26033},
      {"exitsnoop", "two words        26040   26036   26040   0.05    0", KNELL_EVENT_EXIT, 26040},
      {"exitsnoop", "PCOMM            PID     PPID    TID     AGE(s)  EXIT_CODE", 0, 0},
      {"execsnoop", "mkdir            26033  6088     0 /usr/bin/mkdir -p", KNELL_EVENT_EXEC,
       26033},
      {"knell", R"({"type":"exit","seq":1,"id":"7-9","pid":9,"ppid":7})", KNELL_EVENT_EXIT, 9},
      {"knell", R"({"type":"fork","seq":1,"pid":7,"child_pid":9})", KNELL_EVENT_FORK, 9},
  };
  for (const auto& [program, line, type, pid] : kLines) {
    const auto event = parse_line(program, line);
    EXPECT_EQ(event ? event->type : 0, type) << line;
    EXPECT_EQ(event ? event->pid : 0, pid) << line;
  }
}

TEST(Storm, ReportsItsProcesses) {
  const auto storm = run_storm({.count = 20, .per_second = 20'000, .jitter = 0.5});
  ASSERT_TRUE(storm);
  ASSERT_EQ(storm->processes.size(), 20u);
  EXPECT_EQ(storm->processes[8].status, 0);
  EXPECT_EQ(storm->processes[9].status, 1);
  EXPECT_GT(storm->marker, 0);
}

}  // namespace
}  // namespace knell::bench
