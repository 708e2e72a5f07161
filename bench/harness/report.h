// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace knell::bench {

// A confidence interval for the median: two order statistics with ranks from the binomial
// distribution, so no distribution of the figures is assumed. With fewer than six rounds low and
// high are the whole range and `is_95` is false.
struct Interval {
  double low = 0, high = 0;
  bool is_95 = false;
};

// None of these takes an empty vector; at most 1000 values for the interval.
double median(std::vector<double> values);
double quantile(std::vector<double> values, double share);  // 0..1, nearest rank
Interval interval_of_median(std::vector<double> values);

// A column of a table: a figure of every round.
struct Metric {
  enum class Shown { kMedian, kSum, kMaximum };
  std::string_view title;  // "CPU ns/process"
  int decimals = 0;
  // Computed over all rounds; only a median has a confidence interval.
  Shown shown = Shown::kMedian;
};

// The results of a run. Tables, lines and columns are shown in the order they were first added.
class Report {
 public:
  void add(const std::string& table, const std::string& line, const Metric& metric, double value);
  void note(std::string text);  // a line below the tables; a repeated note is shown once
  void absent(std::string name, const std::string& why) { note("absent: " + name + ": " + why); }
  void fail(std::string text);  // a failed check: the program exits with status 1
  void set_heading(std::string text) { heading_ = std::move(text); }  // a line above the tables
  void set_partial() { partial_ = true; }

  bool empty() const { return tables_.empty(); }
  bool failed() const { return failed_; }
  // The median with `decimals`; "-": there is none.
  std::string median_text(const std::string& table, const std::string& line, const Metric& metric,
                          int decimals) const;
  std::string to_text() const;

 private:
  struct Table {
    std::string name;
    std::vector<std::string> lines;
    std::vector<Metric> columns;
    std::map<std::pair<std::string, std::string_view>, std::vector<double>> rounds;
  };
  std::vector<Table> tables_;
  std::vector<std::string> notes_;
  std::string heading_;
  bool partial_ = false, failed_ = false;
};

// Lines of cells as aligned columns; the first line is the heading.
std::string align(const std::vector<std::vector<std::string>>& lines);

}  // namespace knell::bench
