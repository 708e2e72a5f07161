// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The window of `knell top`, from the top: a title; a graph for births, deaths and failures; the
// groups; what just died; help or a message. In a low window the graphs are left out.
#include "cli/top/top_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <knell/knell.hpp>

#include "base/duration.h"
#include "cli/summary.h"
#include "cli/table.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using std::chrono::nanoseconds;
using Mode = TopFacts::Mode;

constexpr Look kTitle{.colour = Colour::kBold};
constexpr Look kHeader{.reverse = true};
constexpr size_t kGraphs = 3;

struct Layout {
  bool graphs;
  size_t group_rows, death_rows;  // without their headers
};

Layout lay_out(size_t rows) {
  constexpr size_t kRowsForGraphs = 16, kFixed = 4;  // title, two headers, the last row
  Layout layout{.graphs = rows >= kRowsForGraphs, .group_rows = 0, .death_rows = 0};
  const size_t fixed = kFixed + (layout.graphs ? kGraphs : 1);
  const size_t left = rows > fixed ? rows - fixed : 0;
  layout.group_rows = left * 2 / 5;
  layout.death_rows = left - layout.group_rows;
  return layout;
}

std::string seconds_clock(int64_t time_ns) {
  constexpr size_t kWithoutMilliseconds = 8;
  return clock_text(time_ns).substr(0, kWithoutMilliseconds);
}

std::string date_text(int64_t time_ns) {
  const auto seconds = static_cast<time_t>(time_ns / TopModel::kSecondNs);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  return fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
}

std::string mode_text(const TopModel& model, const TopFacts& facts) {
  std::string text;
  switch (facts.mode) {
    case Mode::kLive:
      text = seconds_clock(facts.now_ns);
      break;
    case Mode::kPaused:
      text = fmt::format("PAUSED at {}, {} died since", seconds_clock(facts.now_ns),
                         facts.since_pause);
      break;
    case Mode::kPast:
      text =
          fmt::format("PAST {} {}-{}{}", date_text(facts.began_ns), seconds_clock(facts.began_ns),
                      seconds_clock(facts.now_ns), facts.reading ? " (reading)" : "");
      break;
  }
  if (model.losses().any()) text += ", " + model.losses().text();
  return text;
}

void draw_title(const TopModel& model, const TopFacts& facts, Grid& grid) {
  const std::string right = mode_text(model, facts);
  const size_t width = display_width(right);
  const size_t at = grid.columns() > width ? grid.columns() - width : 0;
  const std::string left = facts.mode == Mode::kPast ? fmt::format("knell top: {}", facts.processes)
                                                     : fmt::format("knell top: {}, via {}",
                                                                   facts.processes, facts.source);
  grid.put(0, 0, left, kTitle, at > 2 ? at - 2 : 0);
  const Colour colour = model.losses().any()        ? Colour::kMagenta
                        : facts.mode == Mode::kLive ? Colour::kNone
                                                    : Colour::kYellow;
  grid.put(0, at, right, {.colour = colour});
}

// The number of seconds for the average rates: the last full ones, or all of the period that is
// shown.
double seconds_of_rates(const TopFacts& facts) {
  const auto all = static_cast<double>(facts.now_ns - facts.began_ns) / TopModel::kSecondNs;
  if (facts.mode == Mode::kPast) return std::max(all, 1.0);
  return std::clamp(std::floor(all), 1.0, static_cast<double>(TopModel::kRateSeconds));
}

ProcessCounts sum_of_graph(const TopModel& model, int64_t last, size_t slots) {
  ProcessCounts sum;
  for (size_t i = 0; i < slots; ++i) sum += model.graph().at(last - static_cast<int64_t>(i));
  return sum;
}

std::string_view level(double share, bool utf8) {
  static constexpr std::array<std::string_view, 9> kBlocks{" ", "▁", "▂", "▃", "▄",
                                                           "▅", "▆", "▇", "█"};
  static constexpr std::array<std::string_view, 9> kAscii{" ", ".", ":", "-", "=",
                                                          "+", "*", "%", "#"};
  // Values above zero must not be blank.
  const auto index = static_cast<size_t>(std::ceil(share * 8));
  return (utf8 ? kBlocks : kAscii)[std::min<size_t>(index, 8)];
}

void draw_graphs(const TopModel& model, const TopFacts& facts, bool graphs, Grid& grid) {
  struct Graph {
    std::string_view label;
    uint64_t ProcessCounts::* member;
    Colour colour;
  };
  static constexpr std::array<Graph, kGraphs> kAll{
      {{"births", &ProcessCounts::born, Colour::kCyan},
       {"deaths", &ProcessCounts::died, Colour::kYellow},
       {"failures", &ProcessCounts::failed, Colour::kRed}}};
  // The slot of the present is not full yet.
  const int64_t last = facts.mode == Mode::kPast ? (facts.now_ns - 1) / model.slot_ns()
                                                 : facts.now_ns / model.slot_ns() - 1;
  const double seconds = seconds_of_rates(facts);
  const ProcessCounts sum =
      facts.mode == Mode::kPast ? model.total() : sum_of_graph(model, last, TopModel::kRateSeconds);
  size_t column = 0;
  for (size_t i = 0; i < kGraphs; ++i) {
    const Graph& graph = kAll[i];
    const bool known = facts.births_known || graph.member != &ProcessCounts::born;
    const std::string rate =
        known ? rate_text(static_cast<double>(sum.*graph.member) / seconds) + "/s" : "-";
    if (!graphs) {
      column =
          grid.put(1, column, fmt::format("{} {}  ", graph.label, rate), {.colour = graph.colour});
      continue;
    }
    constexpr size_t kLabel = 18, kMost = 11;
    grid.put(1 + i, 0, fmt::format("{:<8} {:>8}", graph.label, rate), {.colour = graph.colour});
    if (!known || grid.columns() <= kLabel + kMost) continue;
    const size_t slots = std::min(grid.columns() - kLabel - kMost, TopModel::kGraphSlots - 2);
    uint64_t most = 0;
    for (size_t back = 0; back < slots; ++back)
      most = std::max(most, model.graph().at(last - static_cast<int64_t>(back)).*graph.member);
    std::string bars;
    for (size_t slot = slots; slot-- != 0;) {
      const uint64_t count = model.graph().at(last - static_cast<int64_t>(slot)).*graph.member;
      bars += level(most == 0 ? 0 : static_cast<double>(count) / static_cast<double>(most),
                    grid.utf8());
    }
    grid.put(1 + i, kLabel, bars, {.colour = graph.colour});
    if (most != 0) {
      const double per_second =
          static_cast<double>(most) * TopModel::kSecondNs / static_cast<double>(model.slot_ns());
      grid.put(1 + i, kLabel + slots, fmt::format(" max {}", rate_text(per_second)),
               {.colour = Colour::kDim});
    }
  }
}

std::string percent_text(uint64_t part, uint64_t whole) {
  if (whole == 0 || part == 0) return "-";
  const double percent = 100 * static_cast<double>(part) / static_cast<double>(whole);
  return percent < 1 ? "<1%" : fmt::format("{:.0f}%", std::floor(percent));
}

std::string_view nameless(GroupKey key) {
  switch (key) {
    case GroupKey::kUnit:
      return "(no unit)";
    case GroupKey::kContainer:
      return "(no container)";
    default:
      return "(unknown)";
  }
}

std::string group_text(const TopModel::Row& row, GroupKey key) {
  constexpr size_t kContainerId = 12;  // as docker shows it
  constexpr std::string_view kService = ".service";
  if (row.other) return "(other)";
  if (row.name.empty()) return std::string(nameless(key));
  std::string_view name = row.name;
  if (key == GroupKey::kContainer) name = name.substr(0, kContainerId);
  if (key == GroupKey::kUnit && name.ends_with(kService)) name.remove_suffix(kService.size());
  return name_text(name);
}

void draw_groups(const TopModel& model, const TopState& state, const TopFacts& facts, size_t row,
                 size_t rows, Grid& grid) {
  constexpr size_t kNumbers = 53;
  const size_t numbers = grid.columns() > kNumbers + 8 ? grid.columns() - kNumbers : 8;
  std::string title(name_of(state.key));
  std::ranges::transform(title, title.begin(),
                         [](char c) { return static_cast<char>(c - 'a' + 'A'); });
  grid.fill(row, 0, kHeader);
  grid.put(row, 0,
           fmt::format("{} ({}, by {})", title, model.groups(state.key), name_of(state.order)),
           kHeader, numbers);
  grid.put(row, numbers,
           fmt::format("{:>8}{:>8}{:>9}{:>8}{:>10}{:>9} ", "BORN/s", "DIED/s", "DIED", "FAILED",
                       "SHORTEST", "MEDIAN"),
           kHeader);
  const double seconds = seconds_of_rates(facts);
  size_t at = row + 1;
  for (const TopModel::Row& each : model.rows(state.key, state.order, facts.now_ns, rows)) {
    const TopModel::Group& group = *each.group;
    const ProcessCounts sum =
        facts.mode == Mode::kPast ? group.total : TopModel::recent(group, facts.now_ns);
    const auto life = [&](uint64_t ns) {
      return group.lives.any() ? duration_text(nanoseconds(static_cast<int64_t>(ns))) : "-";
    };
    grid.put(at, 0, group_text(each, state.key), {}, numbers - 1);
    const std::string born =
        facts.births_known ? rate_text(static_cast<double>(sum.born) / seconds) : "-";
    size_t column =
        grid.put(at, numbers,
                 fmt::format("{:>8}{:>8}{:>9}", born,
                             rate_text(static_cast<double>(sum.died) / seconds), group.total.died));
    const bool failed = group.total.failed != 0;
    column = grid.put(at, column,
                      fmt::format("{:>8}", percent_text(group.total.failed, group.total.died)),
                      {.colour = failed ? Colour::kRed : Colour::kNone});
    grid.put(
        at, column,
        fmt::format("{:>10}{:>9}", life(group.lives.shortest_ns()), life(group.lives.median_ns())));
    ++at;
  }
}

struct DeathColumns {
  bool place;  // USER and UNIT
  size_t user = 10, unit = 16;
};

void draw_death(const Death& death, bool marked, const DeathColumns& columns, size_t row,
                Grid& grid) {
  const knell_event& event = death.event();
  const bool reverse = marked;
  if (marked) grid.fill(row, 0, {.reverse = true});
  if (death.is_loss()) {
    grid.put(row, 0, seconds_clock(event.time_ns) + "  " + lost_text(event),
             {.colour = Colour::kMagenta, .reverse = reverse});
    return;
  }
  size_t column = 0;
  const auto add = [&](std::string_view text, size_t width, Colour colour = Colour::kNone) {
    grid.put(row, column, text, {.colour = colour, .reverse = reverse}, width);
    column += width + 2;
  };
  add(seconds_clock(event.time_ns), 8);
  add(fmt::format("{}", event.pid), 7);
  if (columns.place) {
    const std::string unit = short_unit(event);
    add(user_text(event), columns.user);
    add(unit.empty() ? "-" : unit, columns.unit);
  }
  add((event.has & KNELL_HAS_DURATION) != 0
          ? duration_text(nanoseconds(static_cast<int64_t>(event.duration_ns)))
          : "-",
      6);
  const Colour colour = is_failure(event) ? colour_of(event) : Colour::kNone;
  add(event_text(event), 12, colour);
  std::string cause = killer_text(event);
  cause.erase(0, std::min(cause.find_first_not_of(' '), cause.size()));
  if (!cause.empty())
    column = grid.put(row, column, cause, {.colour = colour, .reverse = reverse}) + 2;
  grid.put(row, column, command_text(event), {.reverse = reverse});
}

void draw_deaths(const TopModel& model, const TopState& state, size_t row, size_t rows,
                 Grid& grid) {
  constexpr size_t kWide = 110;
  const DeathColumns columns{.place = grid.columns() >= kWide};
  const DeathRing& deaths = state.shown_deaths(model);
  grid.fill(row, 0, kHeader);
  grid.put(row, 0,
           columns.place
               ? fmt::format("{:<10}{:<9}{:<12}{:<18}{:<8}{:<14}{}", "DIED", "PID", "USER", "UNIT",
                             "AGE", "ENDED", "COMMAND")
               : fmt::format("{:<10}{:<9}{:<8}{:<14}{}", "DIED", "PID", "AGE", "ENDED", "COMMAND"),
           kHeader);
  if (state.failures_only) {
    constexpr std::string_view kOnly = " failures only ";
    if (grid.columns() > kOnly.size()) grid.put(row, grid.columns() - kOnly.size(), kOnly, kHeader);
  }
  if (deaths.size() == 0 || rows == 0) return;
  size_t first = 0;
  size_t marked = SIZE_MAX;
  if (state.selected) {
    marked = std::min(deaths.position_of(*state.selected), deaths.size() - 1);
    first = marked - std::min({marked, state.selected_row, rows - 1});
  }
  for (size_t i = 0; i < rows && first + i < deaths.size(); ++i)
    draw_death(deaths.newest(first + i), first + i == marked, columns, row + 1 + i, grid);
}

void draw_last_row(const TopState& state, const TopFacts& facts, Grid& grid) {
  constexpr std::string_view kHelp =
      "? help  / filter  space pause  ←→ time  tab groups  f failures  enter open";
  constexpr std::string_view kAscii =
      "? help  / filter  space pause  <> time  tab groups  f failures  enter open";
  const size_t row = grid.rows() - 1;
  if (state.filter) {
    const std::string before = "filter: " + std::string(state.filter->before_cursor());
    const std::string after = state.filter->text().substr(state.filter->before_cursor().size());
    // The part before the cursor is always visible.
    std::string_view shown = before;
    const size_t room = grid.columns() > 1 ? grid.columns() - 1 : 1;
    while (display_width(shown) > room) shown.remove_prefix(1);
    size_t column = grid.put(row, 0, shown, kTitle);
    const std::string rest = after.empty() ? " " : after;
    const size_t bytes = std::max<size_t>(line_break(rest, 1), 1);
    column = grid.put(row, column, std::string_view(rest).substr(0, bytes), {.reverse = true});
    column = grid.put(row, column, std::string_view(rest).substr(bytes));
    if (!facts.message.empty()) grid.put(row, column + 1, facts.message, {.colour = Colour::kRed});
    return;
  }
  if (!facts.message.empty()) {
    grid.put(row, 0, facts.message, {.colour = facts.is_error ? Colour::kRed : Colour::kYellow});
    return;
  }
  grid.put(row, 0, grid.utf8() ? kHelp : kAscii, {.colour = Colour::kDim});
}

}  // namespace

std::string rate_text(double per_second) {
  constexpr double kTen = 10, kThousands = 10'000, kMillions = 10'000'000;
  if (per_second == 0) return "0";
  if (per_second < 0.1) return "<0.1";
  if (per_second < kTen) return fmt::format("{:.1f}", per_second);
  if (per_second < kThousands) return fmt::format("{:.0f}", per_second);
  if (per_second < kMillions) return fmt::format("{:.1f}K", per_second / 1000);
  return fmt::format("{:.1f}M", per_second / 1'000'000);
}

size_t death_rows(size_t rows) { return lay_out(rows).death_rows; }

void draw_top(const TopModel& model, const TopState& state, const TopFacts& facts, Grid& grid) {
  if (grid.rows() < 2) return draw_title(model, facts, grid);
  const Layout layout = lay_out(grid.rows());
  draw_title(model, facts, grid);
  draw_graphs(model, facts, layout.graphs, grid);
  size_t row = 1 + (layout.graphs ? kGraphs : 1);
  draw_groups(model, state, facts, row, layout.group_rows, grid);
  row += 1 + layout.group_rows;
  draw_deaths(model, state, row, layout.death_rows, grid);
  draw_last_row(state, facts, grid);
}

void draw_page(std::string_view title, std::span<const PageLine> lines, size_t& scroll,
               Grid& grid) {
  struct Wrapped {
    std::string_view label, text;
    Colour colour;
  };
  size_t label_width = 0;
  for (const PageLine& line : lines)
    label_width = std::max(label_width, display_width(line.label) + 2);
  const size_t room = grid.columns() > label_width + 8 ? grid.columns() - label_width : 8;
  std::vector<Wrapped> wrapped;
  for (const PageLine& line : lines) {
    std::string_view text = line.text;
    std::string_view label = line.label;
    do {
      const std::string_view part = text.substr(0, line_break(text, room));
      wrapped.push_back({label, part, line.colour});
      text.remove_prefix(part.size());
      text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
      label = {};
    } while (!text.empty());
  }
  grid.fill(0, 0, kHeader);
  grid.put(0, 0, title, kHeader);
  const size_t rows = grid.rows() > 2 ? grid.rows() - 2 : 0;
  scroll = std::min(scroll, wrapped.size() > rows ? wrapped.size() - rows : 0);
  for (size_t i = 0; i < rows && scroll + i < wrapped.size(); ++i) {
    const Wrapped& line = wrapped[scroll + i];
    grid.put(1 + i, 0, line.label, {.colour = Colour::kBold});
    grid.put(1 + i, label_width, line.text, {.colour = line.colour});
  }
  const size_t below = wrapped.size() > scroll + rows ? wrapped.size() - scroll - rows : 0;
  grid.put(grid.rows() - 1, 0,
           below == 0
               ? "any other key: back"
               : fmt::format("{} more lines below: up and down scroll; any other key: back", below),
           {.colour = Colour::kDim});
}

std::span<const PageLine> help_lines() {
  static const std::vector<PageLine> lines{
      {"q", "ends knell top"},
      {"space", "pauses and continues; keeps the last 1024 deaths and 4096 failures of the pause"},
      {"/", "sets the filter: predicates as of knell watch, such as  -C cc1 --ended signal"},
      {"tab, g", "groups by unit, name, user, container"},
      {"s", "sorts the groups by rate, total, failures"},
      {"f", "shows failures only, or all deaths"},
      {"up, down", "mark a death, which then stays in its row; home and Esc show the newest again"},
      {"enter", "opens the marked death: arguments, ancestors, sender of the signal, siblings"},
      {"left", "a step back in time, through the journal of knelld"},
      {"right", "a step forward in time; Esc returns to the present"},
      {"b", "back to the last death before this time that is stored"},
      {"+, -", "longer and shorter steps: 10s, 1m, 10m, 1h, 1d"},
      {"Ctrl-L", "draws the window again"},
      {"", ""},
      {"",
       "Rates are averages over the last five full seconds, in the past over the step. A birth "
       "counts for the group of the parent. FAILED is the share of the deaths that did not end "
       "with exit 0. MEDIAN is exact within 7 %. The journal has by default failures only."}};
  return lines;
}

}  // namespace knell::cli
