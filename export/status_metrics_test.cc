// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/status_metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace knell::exporter {
namespace {

std::map<std::string, double> series_of(std::string_view status) {
  Families families;
  append_status(families, status);
  std::map<std::string, double> out;
  for (const auto& family : families.take()) {
    EXPECT_FALSE(family.metric.empty()) << family.name;
    for (const auto& metric : family.metric) {
      std::string name = family.name;
      for (const auto& label : metric.label) name += " " + label.name + "=" + label.value;
      EXPECT_FALSE(out.contains(name)) << name;
      out[name] = family.type == prometheus::MetricType::Counter ? metric.counter.value
                                                                 : metric.gauge.value;
    }
  }
  return out;
}

TEST(StatusMetrics, ADaemonThatIsAwayHasNoOtherSeries) {
  const std::map<std::string, double> away{{"knell_daemon_up", 0}};
  EXPECT_EQ(series_of(""), away);
  EXPECT_EQ(series_of("[]"), away);
  EXPECT_EQ(series_of(R"({"version":"0.2.0")"), away);
}

TEST(StatusMetrics, HasTheNumbersOfTheStatus) {
  const auto series = series_of(
      R"({"version":"0.2.0","kernel":"Linux 6.18.1","uptime_s":2.5,"events":186,"delivered":124,
          "lost":3,"wakeups":9,"clients":2,
          "sources":[{"name":"bpf","used":true,"received":180,"lost":7,
                      "lost_by_types":[{"types":"exit","lost":7}],"recovered":1,"repairs":0},
                     {"name":"bpf","used":true,"received":6,"lost":null,"lost_by_types":[]},
                     {"name":"connector","used":false,"received":1000}],
          "listeners":[{"protocol":"native","mask":"exit","queued":5},
                       {"protocol":"native","mask":"none","queued":0}],
          "memory":{"queue_bytes":10,"rss_bytes":20},"limits":{"memory_bytes":30},
          "journal":{"path":"/j","state":"working","written":4,"lost_queue":1,"lost_disk":2,
                     "bytes":4096,"oldest_seq":3,"next_seq":9}})");
  EXPECT_EQ(series.at("knell_daemon_up"), 1);
  EXPECT_EQ(series.at("knell_build_info version=0.2.0 kernel=Linux 6.18.1"), 1);
  EXPECT_EQ(series.at("knell_uptime_seconds"), 2.5);
  EXPECT_EQ(series.at("knell_lost_total"), 3);
  EXPECT_EQ(series.at("knell_source_received_total source=bpf"), 186);
  EXPECT_EQ(series.at("knell_source_lost_total source=bpf"), 7);
  EXPECT_FALSE(series.contains("knell_source_received_total source=connector"));
  EXPECT_EQ(series.at("knell_events_lost_total source=bpf type=exit"), 7);
  EXPECT_EQ(series.at("knell_listeners protocol=native"), 1);
  EXPECT_EQ(series.at("knell_listeners protocol=compat"), 0);
  EXPECT_EQ(series.at("knell_listener_queued_events"), 5);
  EXPECT_EQ(series.at("knell_queue_limit_bytes"), 30);
  EXPECT_EQ(series.at("knell_journal_working"), 1);
  EXPECT_EQ(series.at("knell_journal_lost_total reason=disk"), 2);
  EXPECT_EQ(series.at("knell_journal_events"), 6);
}

TEST(StatusMetrics, HasTheLagOfTheFleet) {
  const auto with = [](const std::string& durable) {
    return series_of(R"({"durable":[{"name":"export-otlp","pending":9,"oldest_pending_s":5})" +
                     durable + "]}");
  };
  EXPECT_FALSE(with("").contains("knell_fleet_pending_events"));
  const auto none = with(R"(,{"name":"fleet-db1","pending":0,"oldest_pending":null})");
  EXPECT_EQ(none.at("knell_fleet_pending_events"), 0);
  EXPECT_FALSE(none.contains("knell_fleet_oldest_pending_timestamp_seconds"));
  const auto some = with(
      R"(,{"name":"fleet-db1","pending":2,"oldest_pending_s":20},
          {"name":"fleet-db2","pending":3,"oldest_pending_s":10})");
  EXPECT_EQ(some.at("knell_fleet_pending_events"), 5);
  EXPECT_EQ(some.at("knell_fleet_oldest_pending_timestamp_seconds"), 10);
}

TEST(StatusMetrics, ListenersDoNotAddSeries) {
  const auto with = [](int listeners) {
    std::string status = R"({"listeners":[)";
    for (int i = 0; i < listeners; ++i) {
      status += i > 0 ? "," : "";
      status += R"({"id":)" + std::to_string(i) + R"(,"protocol":"p)" + std::to_string(i) +
                R"(","mask":"exit","comm":"c)" + std::to_string(i) + R"("})";
    }
    return series_of(status + "]}").size();
  };
  EXPECT_EQ(with(0), with(500));
}

TEST(StatusMetrics, AMemberOfAnotherTypeIsZero) {
  EXPECT_EQ(series_of(R"({"events":"many","sources":7,"listeners":[1]})").at("knell_events_total"),
            0);
}

}  // namespace
}  // namespace knell::exporter
