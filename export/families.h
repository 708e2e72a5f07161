// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/metric_family.h>

#include <initializer_list>
#include <knell/knell.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knell::exporter {

// The metric families of one scrape, appended one after the other.
class Families {
 public:
  using Label = std::pair<std::string_view, std::string_view>;

  void counter(std::string_view name, std::string_view help) {
    begin(name, help, prometheus::MetricType::Counter);
  }
  void gauge(std::string_view name, std::string_view help) {
    begin(name, help, prometheus::MetricType::Gauge);
  }
  // A series of the last family. A label with an empty value is left out: to Prometheus it is the
  // same. Prometheus refuses a scrape with a value that is not UTF-8.
  void add(std::initializer_list<Label> labels, double value) {
    prometheus::MetricFamily& family = all_.back();
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    for (const auto& [label, text] : labels) {
      if (!text.empty()) metric.label.push_back({std::string(label), printable(text)});
    }
    (family.type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) =
        value;
  }
  std::vector<prometheus::MetricFamily> take() { return std::move(all_); }

 private:
  void begin(std::string_view name, std::string_view help, prometheus::MetricType type) {
    all_.push_back({std::string(name), std::string(help), type, {}});
  }

  std::vector<prometheus::MetricFamily> all_;
};

}  // namespace knell::exporter
