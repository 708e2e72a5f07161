// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/harness/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace knell::bench {
namespace {

// How many of the smallest, and of the largest, of n figures lie outside the interval: the most for
// which it contains the median with 95 %. P(fewer than k of n are below) = P(Binomial(n, 1/2) < k).
size_t ranks_outside(size_t n) {
  double term = std::pow(0.5, static_cast<double>(n));  // P(exactly 0 of n)
  double below = 0;
  size_t k = 0;
  for (; k < n / 2; ++k) {
    below += term;
    if (2 * below > 0.05) break;
    term *= static_cast<double>(n - k) / static_cast<double>(k + 1);
  }
  return k;  // 0: not even the whole range contains it with 95 %
}

std::string cell_text(const Metric& metric, const std::vector<double>& rounds) {
  const int decimals = metric.decimals;
  if (metric.shown == Metric::Shown::kSum)
    return fmt::format("{:.{}f}", std::accumulate(rounds.begin(), rounds.end(), 0.0), decimals);
  if (metric.shown == Metric::Shown::kMaximum)
    return fmt::format("{:.{}f}", std::ranges::max(rounds), decimals);
  const Interval interval = interval_of_median(rounds);
  return fmt::format("{:.{}f} [{:.{}f}, {:.{}f}]{}", median(rounds), decimals, interval.low,
                     decimals, interval.high, decimals, interval.is_95 ? "" : "*");
}

}  // namespace

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double quantile(std::vector<double> values, double share) {
  const double rank = std::ceil(share * static_cast<double>(values.size()));
  std::ranges::sort(values);
  return values[std::min(values.size(), static_cast<size_t>(std::max(rank, 1.0))) - 1];
}

Interval interval_of_median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t outside = ranks_outside(values.size());
  if (outside == 0) return {.low = values.front(), .high = values.back(), .is_95 = false};
  return {.low = values[outside - 1], .high = values[values.size() - outside], .is_95 = true};
}

void Report::add(const std::string& table, const std::string& line, const Metric& metric,
                 double value) {
  if (std::ranges::find(tables_, table, &Table::name) == tables_.end())
    tables_.push_back({.name = table, .lines = {}, .columns = {}, .rounds = {}});
  Table& at = *std::ranges::find(tables_, table, &Table::name);
  if (std::ranges::find(at.lines, line) == at.lines.end()) at.lines.push_back(line);
  if (std::ranges::find(at.columns, metric.title, &Metric::title) == at.columns.end())
    at.columns.push_back(metric);
  at.rounds[{line, metric.title}].push_back(value);
}

void Report::note(std::string text) {
  if (std::ranges::find(notes_, text) == notes_.end()) notes_.push_back(std::move(text));
}

void Report::fail(std::string text) {
  failed_ = true;
  note(std::move(text));
}

std::string Report::median_text(const std::string& table, const std::string& line,
                                const Metric& metric, int decimals) const {
  const auto at = std::ranges::find(tables_, table, &Table::name);
  if (at == tables_.end()) return "-";
  const auto rounds = at->rounds.find({line, metric.title});
  return rounds == at->rounds.end() ? "-"
                                    : fmt::format("{:.{}f}", median(rounds->second), decimals);
}

std::string Report::to_text() const {
  std::string out = heading_;
  for (const Table& table : tables_) {
    std::vector<std::vector<std::string>> lines{{""}};
    for (const Metric& metric : table.columns) lines[0].emplace_back(metric.title);
    for (const std::string& line : table.lines) {
      lines.push_back({line});
      for (const Metric& metric : table.columns) {
        const auto rounds = table.rounds.find({line, metric.title});
        lines.back().push_back(rounds == table.rounds.end() ? "-"
                                                            : cell_text(metric, rounds->second));
      }
    }
    out += table.name + "\n" + align(lines) + "\n";
  }
  if (out.find("]*") != std::string::npos)
    out += "* the whole range: fewer than 6 rounds give no 95 % interval (-r)\n";
  for (const std::string& note : notes_) out += note + "\n";
  return out + (partial_ ? "interrupted: a partial result\n" : "");
}

std::string align(const std::vector<std::vector<std::string>>& lines) {
  std::vector<size_t> widths(lines[0].size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) text += fmt::format("  {:<{}}", line[i], widths[i]);
    out += text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

}  // namespace knell::bench
