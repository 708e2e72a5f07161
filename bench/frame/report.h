// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/frame/statistics.h"

namespace knell::bench {

// A figure that is taken in every round.
struct Metric {
  std::string_view name;   // in JSON: "cpu_ns_per_process"
  std::string_view title;  // the column's: "CPU ns/process"
  int decimals = 0;
  // Losses: the sum of all rounds is shown, without an interval.
  bool is_sum = false;
  // Of all rounds' samples together (a far percentile): one figure without an interval, the one
  // added last.
  bool is_pooled = false;

  bool has_interval() const { return !is_sum && !is_pooled; }
};

// All rounds' figures of one metric of one contender in one part of a case.
struct Series {
  std::string part;       // "exec storm": a table of its own
  std::string contender;  // "knell bpf, full": a line of it
  Metric metric;          // a column of it
  std::vector<double> values;
  bool is_at_least = false;  // what was looked for lies beyond it in some round: shown as `>=`

  double value() const;  // the median, or the sum where the metric is one
};

// What a case found out. It is the one thing between measuring and showing: to_text() makes the
// tables for people, to_json() keeps every round.
class Report {
 public:
  // Settles where a line stands, before figures come in an order that was shuffled.
  void expect(std::string_view part, std::string_view contender);
  void add(std::string_view part, std::string_view contender, const Metric& metric, double value);
  // The figure just added is as far as could be gone.
  void at_least(std::string_view part, std::string_view contender, const Metric& metric);
  // One line below the tables. Said twice it is kept once.
  void note(std::string line);
  // Who could not take part, and why: "extrace: not installed (Debian: extrace)".
  void absent(std::string who, std::string why);
  // A check failed (soak): the program ends with status 1.
  void fail(std::string line);
  // Text that stands above the tables, made by the case when it is done (the matrix of `table`).
  void set_heading(std::string text) { heading_ = std::move(text); }
  void set_partial() { partial_ = true; }

  const Series* find(std::string_view part, std::string_view contender,
                     std::string_view metric) const;
  const std::vector<Series>& series() const { return series_; }
  bool empty() const { return series_.empty(); }
  bool failed() const { return failed_; }

  std::string to_text() const;
  // `head`: members of the outermost object that come first, as JSON text without braces.
  std::string to_json(std::string_view head) const;

 private:
  struct Absent {
    std::string who, why;
  };
  std::vector<const Series*> in_order() const;

  std::vector<std::pair<std::string, std::string>> places_;  // of part and contender
  std::vector<Series> series_;
  std::vector<std::string> notes_;
  std::vector<Absent> absent_;
  std::string heading_;
  bool partial_ = false;
  bool failed_ = false;
};

}  // namespace knell::bench
