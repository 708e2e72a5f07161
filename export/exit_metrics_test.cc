// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/exit_metrics.h"

#include <gtest/gtest.h>

#include <string>

#include "export/event_for_test.h"

namespace knell::exporter {
namespace {

constexpr TopNames::Time kStart{};

// All series as text.
std::map<std::string, double> series_of(const ExitMetrics& metrics) {
  Families families;
  metrics.collect(families);
  std::map<std::string, double> out;
  for (const auto& family : families.take()) {
    for (const auto& metric : family.metric) {
      std::string name = family.name;
      for (const auto& label : metric.label) name += " " + label.name + "=" + label.value;
      EXPECT_FALSE(out.contains(name)) << name;
      out[name] = metric.counter.value;
    }
  }
  return out;
}

TEST(Ending, OfEachKindOfStatus) {
  EXPECT_EQ(ending_of(Exit("", exit_status(0))), Ending::kOk);
  EXPECT_EQ(ending_of(Exit("", exit_status(3))), Ending::kNonzero);
  EXPECT_EQ(ending_of(Exit("", SIGTERM)), Ending::kSignal);
  EXPECT_EQ(ending_of(Exit("", kCoreStatus)), Ending::kCore);
  EXPECT_EQ(ending_of(Exit("", SIGKILL).killed(KNELL_CAUSE_USER)), Ending::kSignal);
  EXPECT_EQ(ending_of(Exit("", SIGKILL).killed(KNELL_CAUSE_OOM)), Ending::kOom);
  Exit unknown("", 0);
  unknown.has = 0;
  EXPECT_EQ(ending_of(unknown), Ending::kUnknown);
}

TEST(ExitMetrics, CountsExitsAndFailures) {
  ExitMetrics metrics({}, kStart);
  const std::string unit = "db.service";
  metrics.count(Exit(unit, exit_status(0)), kStart);
  metrics.count(Exit(unit, exit_status(1)), kStart);
  metrics.count(Exit(unit, kCoreStatus), kStart);
  metrics.count(Exit("", exit_status(1)), kStart);
  const auto series = series_of(metrics);
  EXPECT_EQ(series.at("knell_process_exits_total ended=ok"), 1);
  EXPECT_EQ(series.at("knell_process_exits_total ended=nonzero"), 2);
  EXPECT_EQ(series.at("knell_process_exits_total ended=core"), 1);
  EXPECT_EQ(series.at("knell_process_failures_total unit=db.service ended=nonzero"), 1);
  EXPECT_EQ(series.at("knell_process_failures_total unit=db.service ended=core"), 1);
  EXPECT_EQ(series.at("knell_process_failures_total unit=_none ended=nonzero"), 1);
  EXPECT_FALSE(series.contains("knell_process_failures_total unit=db.service ended=ok"));
}

TEST(ExitMetrics, ConfiguredUnitsHaveSeriesFromTheStart) {
  const auto series = series_of(ExitMetrics({.units = {"db.service"}}, kStart));
  EXPECT_EQ(series.at("knell_process_failures_total unit=db.service ended=oom"), 0);
  EXPECT_EQ(series.at("knell_oom_kills_total unit=db.service"), 0);
  EXPECT_EQ(series.at("knell_service_process_exits_total unit=db.service"), 0);
  EXPECT_EQ(series.at("knell_process_kills_total cause=process killer_unit=db.service"), 0);
}

TEST(ExitMetrics, AConfiguredUnitMayLackService) {
  ExitMetrics metrics({.places = 0, .units = {"db", "init.scope"}}, kStart);
  const std::string unit = "db.service";
  metrics.count(Exit(unit, exit_status(1)), kStart);
  const auto series = series_of(metrics);
  EXPECT_EQ(series.at("knell_process_failures_total unit=db.service ended=nonzero"), 1);
  EXPECT_EQ(series.at("knell_process_failures_total unit=init.scope ended=nonzero"), 0);
  EXPECT_FALSE(series.contains("knell_process_failures_total unit=db ended=nonzero"));
}

TEST(ExitMetrics, CountsWhoKilled) {
  ExitMetrics metrics({}, kStart);
  const std::string unit = "db.service", killer = "cron.service";
  metrics.count(Exit(unit, SIGKILL).killed(KNELL_CAUSE_OOM), kStart);
  metrics.count(Exit(unit, SIGSEGV).killed(KNELL_CAUSE_KERNEL), kStart);
  Exit by_cron(unit, SIGTERM);
  by_cron.killed(KNELL_CAUSE_USER).killed_by.unit = text(killer);
  metrics.count(by_cron, kStart);
  const auto series = series_of(metrics);
  EXPECT_EQ(series.at("knell_oom_kills_total unit=db.service"), 1);
  EXPECT_EQ(series.at("knell_process_kills_total cause=oom"), 1);
  EXPECT_EQ(series.at("knell_process_kills_total cause=kernel"), 1);
  EXPECT_EQ(series.at("knell_process_kills_total cause=process killer_unit=cron.service"), 1);
}

TEST(ExitMetrics, CountsTheProcessesThatTheServiceManagerStarted) {
  ExitMetrics metrics({.units = {"db.service"}}, kStart);
  const std::string unit = "db.service";
  Exit main(unit, exit_status(0));
  main.has |= KNELL_HAS_PPID;
  main.ppid = 1;
  metrics.count(main, kStart);
  main.ppid = 77;
  metrics.count(main, kStart);
  EXPECT_EQ(series_of(metrics).at("knell_service_process_exits_total unit=db.service"), 1);
}

TEST(ExitMetrics, CountsContainersOnRequestByTheirShortId) {
  const std::string id(64, 'a');
  for (const bool wanted : {false, true}) {
    ExitMetrics metrics({.units = {}, .containers = wanted}, kStart);
    Exit exit("", exit_status(1));
    exit.container_id = text(id);
    metrics.count(exit, kStart);
    EXPECT_EQ(series_of(metrics).contains(
                  "knell_container_failures_total container=aaaaaaaaaaaa ended=nonzero"),
              wanted);
  }
}

TEST(ExitMetrics, CountsLosses) {
  ExitMetrics metrics({}, kStart);
  Exit lost("", 0);
  lost.type = KNELL_EVENT_LOST;
  lost.lost_count = 0;
  metrics.count(lost, kStart);
  lost.lost_count = 12;
  metrics.count(lost, kStart);
  const auto series = series_of(metrics);
  EXPECT_EQ(series.at("knell_export_losses_total"), 2);
  EXPECT_EQ(series.at("knell_export_events_lost_total"), 12);
  EXPECT_EQ(series.at("knell_export_events_total"), 0);
}

// 10,000 units that fail, each with its own container and killer, in four hours. The series at any
// moment are bounded, and no series ever decreases unless it ended before.
TEST(ExitMetrics, AStormOfUnitsIsBounded) {
  constexpr size_t kPlaces = 50;
  ExitMetrics metrics({.places = kPlaces, .units = {"db.service"}, .containers = true}, kStart);
  std::map<std::string, double> before;
  std::map<std::string, double> ever;
  for (int i = 0; i < 10000; ++i) {
    const auto now = kStart + std::chrono::seconds(i * 14400 / 10000);
    const std::string unit = "run-" + std::to_string(i) + ".scope";
    const std::string id = std::to_string(100000000000 + i);
    Exit exit(unit, SIGKILL);
    exit.killed(KNELL_CAUSE_USER).killed_by.unit = text(unit);
    exit.container_id = text(id);
    for (int times = 0; times < 1 + i % 30; ++times) metrics.count(exit, now);
    if (i % 10 == 0) metrics.count(Exit("db.service", exit_status(1)), now);
    if (i % 100 != 0) continue;
    const auto series = series_of(metrics);
    ASSERT_LE(series.size(), ExitMetrics::most_series(kPlaces, 2));
    for (const auto& [name, value] : series) {
      if (!before.contains(name)) continue;
      EXPECT_GE(value, before[name]) << name;
    }
    ever.insert(series.begin(), series.end());
    before = series;
  }
  EXPECT_EQ(before.at("knell_process_failures_total unit=db.service ended=nonzero"), 991);
  EXPECT_GT(before.at("knell_process_failures_total unit=_other ended=signal"), 100000);
  // The first hour fills the places, each of four hours may replace them once.
  EXPECT_LE(ever.size(), 5 * ExitMetrics::most_series(kPlaces, 2));
}

}  // namespace
}  // namespace knell::exporter
