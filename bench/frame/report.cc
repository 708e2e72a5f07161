// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "bench/frame/grid.h"
#include "bench/frame/rapidjson.h"

namespace knell::bench {
namespace {

std::string cell_text(const Series& series) {
  const int decimals = series.metric.decimals;
  std::string value =
      fmt::format("{}{:.{}f}", series.is_at_least ? ">= " : "", series.value(), decimals);
  if (!series.metric.has_interval()) return value;
  const Interval interval = interval_of_median(series.values);
  return fmt::format("{} [{:.{}f}, {:.{}f}]{}", value, interval.low, decimals, interval.high,
                     decimals, interval.is_95 ? "" : "*");
}

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void write(Writer& out, std::string_view text) {
  out.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}
void write_key(Writer& out, std::string_view text) {
  out.Key(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

void write_series(Writer& out, const Series& series) {
  const Interval interval = interval_of_median(series.values);
  out.StartObject();
  write_key(out, "part");
  write(out, series.part);
  write_key(out, "contender");
  write(out, series.contender);
  write_key(out, "metric");
  write(out, series.metric.name);
  write_key(out, "rounds");
  out.StartArray();
  for (const double value : series.values) out.Double(value);
  out.EndArray();
  if (series.is_at_least) {
    write_key(out, "at_least");
    out.Bool(true);
  }
  if (!series.metric.has_interval()) {
    write_key(out, series.metric.is_sum ? "sum" : "pooled");
    out.Double(series.value());
  } else {
    write_key(out, "median");
    out.Double(series.value());
    write_key(out, "low");
    out.Double(interval.low);
    write_key(out, "high");
    out.Double(interval.high);
    write_key(out, "interval_is_95");
    out.Bool(interval.is_95);
  }
  out.EndObject();
}

}  // namespace

double Series::value() const {
  return metric.is_sum ? std::accumulate(values.begin(), values.end(), 0.0) : median(values);
}

void Report::add(std::string_view part, std::string_view contender, const Metric& metric,
                 double value) {
  auto at = std::ranges::find_if(series_, [&](const Series& s) {
    return s.part == part && s.contender == contender && s.metric.name == metric.name;
  });
  if (at == series_.end()) {
    series_.push_back({std::string(part), std::string(contender), metric, {}, false});
    at = series_.end() - 1;
  }
  if (metric.is_pooled) at->values.clear();
  at->values.push_back(value);
}

void Report::expect(std::string_view part, std::string_view contender) {
  places_.emplace_back(part, contender);
}

std::vector<const Series*> Report::in_order() const {
  const auto place = [&](const Series* series) {
    return std::ranges::find(places_, std::pair(series->part, series->contender)) - places_.begin();
  };
  std::vector<const Series*> all;
  all.reserve(series_.size());
  for (const Series& series : series_) all.push_back(&series);
  std::ranges::stable_sort(all, {}, place);
  return all;
}

void Report::at_least(std::string_view part, std::string_view contender, const Metric& metric) {
  for (Series& series : series_) {
    if (series.part == part && series.contender == contender && series.metric.name == metric.name)
      series.is_at_least = true;
  }
}

void Report::note(std::string line) {
  if (std::ranges::find(notes_, line) == notes_.end()) notes_.push_back(std::move(line));
}

void Report::absent(std::string who, std::string why) {
  const bool known = std::ranges::any_of(absent_, [&](const Absent& a) { return a.who == who; });
  if (!known) absent_.push_back({std::move(who), std::move(why)});
}

void Report::fail(std::string line) {
  failed_ = true;
  note(std::move(line));
}

const Series* Report::find(std::string_view part, std::string_view contender,
                           std::string_view metric) const {
  const auto at = std::ranges::find_if(series_, [&](const Series& s) {
    return s.part == part && s.contender == contender && s.metric.name == metric;
  });
  return at == series_.end() ? nullptr : &*at;
}

std::string Report::to_text() const {
  std::string out = heading_;
  bool short_run = false;
  std::vector<std::string> parts;
  const std::vector<const Series*> all = in_order();
  for (const Series* series : all) {
    if (std::ranges::find(parts, series->part) == parts.end()) parts.push_back(series->part);
    short_run |= series->metric.has_interval() && !interval_of_median(series->values).is_95;
  }
  for (const std::string& part : parts) {
    Grid grid;
    for (const Series* series : all) {
      if (series->part == part)
        grid.set(series->contender, series->metric.title, cell_text(*series));
    }
    out += fmt::format("{}{}\n{}", out.empty() ? "" : "\n", part, grid.text());
  }
  if (!out.empty()) out += "\n";
  if (short_run) {
    out += fmt::format(
        "* the whole range: fewer than {} rounds give no 95 % interval of the median (-r)\n",
        kRoundsForInterval);
  }
  for (const std::string& note : notes_) out += note + "\n";
  for (const Absent& absent : absent_)
    out += fmt::format("absent: {}: {}\n", absent.who, absent.why);
  if (partial_) out += "interrupted: a partial result, of the rounds that were complete\n";
  return out;
}

std::string Report::to_json(std::string_view head) const {
  rapidjson::StringBuffer buffer;
  Writer out(buffer);
  out.SetMaxDecimalPlaces(6);
  out.StartObject();
  write_key(out, "partial");
  out.Bool(partial_);
  write_key(out, "failed");
  out.Bool(failed_);
  write_key(out, "series");
  out.StartArray();
  for (const Series* series : in_order()) write_series(out, *series);
  out.EndArray();
  write_key(out, "notes");
  out.StartArray();
  for (const std::string& note : notes_) write(out, note);
  out.EndArray();
  write_key(out, "absent");
  out.StartArray();
  for (const Absent& absent : absent_) {
    out.StartObject();
    write_key(out, "who");
    write(out, absent.who);
    write_key(out, "why");
    write(out, absent.why);
    out.EndObject();
  }
  out.EndArray();
  out.EndObject();
  return fmt::format("{{{},{}\n", head, std::string_view(buffer.GetString() + 1));
}

}  // namespace knell::bench
