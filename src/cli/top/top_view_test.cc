// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/top/top_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/event_for_test.h"
#include "cli/text.h"
#include "cli/top/death_page.h"

namespace knell::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Code = KeyPress::Code;

constexpr int64_t kSecond = TopModel::kSecondNs;
constexpr int64_t kStart = 1'790'000'000 * kSecond;

EventForTest exit_of(int32_t pid, const std::string& comm, int status, int64_t at_ns = kStart) {
  EventForTest made;
  made.process(pid, 1).exit(status).lasted(2'000'000).comm(comm).args(comm + '\0' + "x" + '\0');
  made.event.time_ns = at_ns;
  return made;
}

TopFacts facts() {
  TopFacts facts;
  facts.processes = "all processes";
  facts.source = "bpf";
  facts.began_ns = kStart - 60 * kSecond;
  facts.now_ns = kStart + kSecond;
  return facts;
}

Grid drawn(const TopModel& model, const TopState& state = {}, const TopFacts& with = facts(),
           size_t rows = 24, size_t columns = 80, bool utf8 = true) {
  Grid grid(rows, columns, utf8);
  draw_top(model, state, with, grid);
  return grid;
}

std::string all_of(const Grid& grid) {
  std::string text;
  for (size_t row = 0; row < grid.rows(); ++row) text += grid.line(row) + "\n";
  return text;
}

TEST(TopView, ShowsRatesGroupsAndDeaths) {
  TopModel model;
  for (int i = 0; i < 10; ++i) model.add(exit_of(100 + i, "cc1", i == 0 ? 0x100 : 0));
  EventForTest killed = exit_of(200, "sleep", 9);
  model.add(killed.killed_by(8103, 0, "bash"));
  TopState state;
  state.key = GroupKey::kName;
  const Grid grid = drawn(model, state);
  const std::string text = all_of(grid);
  EXPECT_THAT(grid.line(0), HasSubstr("knell top: all processes, via bpf"));
  EXPECT_THAT(grid.line(2), HasSubstr("deaths      2.2/s"));  // 11 in 5 seconds
  EXPECT_THAT(grid.line(2), HasSubstr("█ max 11"));
  EXPECT_THAT(text, HasSubstr("NAME (2, by rate)"));
  EXPECT_THAT(text, HasSubstr("2.0       10     10%       2ms"));
  EXPECT_THAT(text, HasSubstr("2ms     SIGKILL       <- kill by 8103 bash (root)  sleep x"));
  EXPECT_THAT(text, HasSubstr("exit 1        cc1 x"));
  EXPECT_LT(text.find("SIGKILL"), text.find("exit 1 "));  // the newest first
}

TEST(TopView, NeverLeavesTheWindow) {
  TopModel model;
  for (int i = 0; i < 50; ++i)
    model.add(exit_of(i, std::string(300, 'x'), 9).unit(std::string(300, 'u')));
  TopFacts with = facts();
  with.processes = std::string(500, 'p');
  with.message = std::string(500, 'm');
  for (const size_t rows : std::initializer_list<size_t>{1, 2, 3, 5, 8, 15, 16, 24, 100}) {
    for (const size_t columns :
         std::initializer_list<size_t>{1, 2, 10, 20, 40, 79, 80, 109, 110, 300}) {
      for (const bool utf8 : {false, true}) {
        TopState state;
        state.selected = 7;
        state.selected_row = 50;
        const Grid grid = drawn(model, state, with, rows, columns, utf8);
        for (size_t row = 0; row < rows; ++row) {
          ASSERT_LE(display_width(grid.line(row)), columns) << rows << "x" << columns;
        }
      }
    }
  }
}

TEST(TopView, HostileNamesStayText) {
  TopModel model;
  EventForTest hostile = exit_of(1, "\033[2J\033]0;x\007", 9);
  model.add(hostile.unit("\033c").user("\xff\r\n").killed_by(2, 0, "\033[31m"));
  TopState state;
  for (const GroupKey key : {GroupKey::kUnit, GroupKey::kName, GroupKey::kUser}) {
    state.key = key;
    for (const size_t columns : std::initializer_list<size_t>{80, 160}) {
      const Grid grid = drawn(model, state, facts(), 24, columns);
      for (size_t row = 0; row < grid.rows(); ++row)
        for (const char c : grid.line(row)) ASSERT_GE(static_cast<unsigned char>(c), 0x20) << row;
    }
  }
  std::vector<PageLine> page =
      death_page(model, hostile, [](const knell_id&) { return std::nullopt; });
  Grid grid(24, 80, true);
  size_t scroll = 0;
  draw_page("\033[2J", page, scroll, grid);
  EXPECT_THAT(all_of(grid), Not(HasSubstr("\033")));
  EXPECT_THAT(all_of(grid), HasSubstr("\\x1b"));
}

TEST(TopView, WithoutUtf8AllIsAscii) {
  TopModel model;
  model.add(exit_of(1, "naïve 猫", 0x100));
  TopState state;
  state.key = GroupKey::kName;
  const Grid grid = drawn(model, state, facts(), 24, 80, false);
  for (const char c : all_of(grid)) ASSERT_LT(static_cast<unsigned char>(c), 0x80);
  EXPECT_THAT(all_of(grid), HasSubstr("na?ve ??"));
  EXPECT_THAT(grid.line(2), HasSubstr("#"));
}

TEST(TopView, SaysWhichTimeIsShown) {
  TopModel model;
  TopFacts with = facts();
  with.mode = TopFacts::Mode::kPaused;
  with.since_pause = 12;
  EXPECT_THAT(drawn(model, {}, with).line(0), HasSubstr(", 12 died since"));
  with.mode = TopFacts::Mode::kPast;
  with.began_ns = kStart - 60 * kSecond;
  with.now_ns = kStart;
  with.births_known = false;
  const Grid grid = drawn(model, {}, with);
  EXPECT_THAT(grid.line(0), HasSubstr("PAST 2026-"));
  EXPECT_THAT(grid.line(1), HasSubstr("births          -"));
  EventForTest lost;
  lost.event.type = KNELL_EVENT_LOST;
  model.add(lost);
  EXPECT_THAT(drawn(model).line(0), HasSubstr("an unknown number lost"));
}

TEST(TopView, TheMarkedDeathStaysInItsRow) {
  TopModel model;
  for (int i = 1; i <= 50; ++i) model.add(exit_of(1000 + i, "a", 0));
  TopState state;
  const size_t rows = death_rows(24);
  EXPECT_EQ(press({Code::kDown, {}}, state, model, rows), TopAction::kNone);
  EXPECT_EQ(state.selected, 50U);
  press({Code::kDown, {}}, state, model, rows);
  EXPECT_EQ(state.selected, 49U);
  const auto row_of = [&](const std::string& pid) {
    const Grid grid = drawn(model, state);
    for (size_t row = 0; row < grid.rows(); ++row)
      if (grid.line(row).find(pid) != std::string::npos) return row;
    return size_t{0};
  };
  const size_t before = row_of("1049");
  for (int i = 51; i <= 60; ++i) model.add(exit_of(1000 + i, "a", 0));
  EXPECT_EQ(row_of("1049"), before);
  EXPECT_EQ(row_of("1060"), 0U);
  press({Code::kHome, {}}, state, model, rows);
  EXPECT_NE(row_of("1060"), 0U);
  press({Code::kEnd, {}}, state, model, rows);
  EXPECT_EQ(state.selected, 1U);
  EXPECT_NE(row_of("1001"), 0U);
  press({Code::kPageUp, {}}, state, model, rows);
  EXPECT_EQ(state.selected, rows);
}

TEST(TopView, AMarkThatWasDroppedIsAtTheOldest) {
  TopModel model({.most_deaths = 4, .most_failures = 4});
  for (int i = 1; i <= 4; ++i) model.add(exit_of(i, "a", 0));
  TopState state;
  press({Code::kEnd, {}}, state, model, 8);
  press({Code::kEnd, {}}, state, model, 8);
  EXPECT_EQ(state.selected, 1U);
  for (int i = 5; i <= 9; ++i) model.add(exit_of(i, "a", 0));
  EXPECT_THAT(all_of(drawn(model, state)), HasSubstr("exit 0"));
  press({Code::kUp, {}}, state, model, 8);
  EXPECT_EQ(state.selected, 7U);
}

TEST(TopControl, KeysAreActionsOrChangeTheState) {
  const TopModel model;
  TopState state;
  const auto action = [&](char c) { return press(KeyPress::of(c), state, model, 10); };
  EXPECT_EQ(action('q'), TopAction::kQuit);
  EXPECT_EQ(action(' '), TopAction::kPause);
  EXPECT_EQ(action('b'), TopAction::kEarlierDeath);
  EXPECT_EQ(press({Code::kLeft, {}}, state, model, 10), TopAction::kEarlier);
  EXPECT_EQ(press({Code::kRight, {}}, state, model, 10), TopAction::kLater);
  EXPECT_EQ(press({Code::kEnter, {}}, state, model, 10), TopAction::kOpen);
  EXPECT_EQ(press({Code::kEscape, {}}, state, model, 10), TopAction::kNow);
  for (size_t i = 0; i < kGroupKeys; ++i) action('g');
  EXPECT_EQ(state.key, GroupKey::kUnit);
  press({Code::kTab, {}}, state, model, 10);
  EXPECT_EQ(state.key, GroupKey::kName);
  action('s');
  EXPECT_EQ(state.order, GroupOrder::kTotal);
  action('f');
  EXPECT_TRUE(state.failures_only);
  action('?');
  EXPECT_EQ(state.page, TopState::Page::kHelp);
  EXPECT_EQ(action('q'), TopAction::kNone);  // back
  EXPECT_EQ(state.page, TopState::Page::kMain);
}

TEST(TopControl, AFilterIsTyped) {
  const TopModel model;
  TopState state;
  state.filter = LineEditor("-C é");
  press({Code::kBackspace, {}}, state, model, 10);
  EXPECT_EQ(state.filter->text(), "-C ");
  for (const char c : std::string_view("qx")) press(KeyPress::of(c), state, model, 10);
  press({Code::kLeft, {}}, state, model, 10);
  press({Code::kText, "ü"}, state, model, 10);
  EXPECT_EQ(state.filter->text(), "-C qüx");
  EXPECT_EQ(state.filter->before_cursor(), "-C qü");
  press({Code::kLeft, {}}, state, model, 10);
  press({Code::kDelete, {}}, state, model, 10);
  EXPECT_EQ(state.filter->text(), "-C qx");
  TopFacts with = facts();
  with.message = "wrong";
  EXPECT_EQ(drawn(model, state, with).line(23), "filter: -C qx wrong");
  EXPECT_EQ(press({Code::kEnter, {}}, state, model, 10), TopAction::kFilter);
  press({Code::kEraseLine, {}}, state, model, 10);
  EXPECT_EQ(state.filter->text(), "");
  press({Code::kEscape, {}}, state, model, 10);
  EXPECT_FALSE(state.filter);
}

TEST(TopView, PagesScroll) {
  std::vector<PageLine> lines;
  for (int i = 0; i < 40; ++i)
    lines.push_back({"n", std::to_string(i) + " " + std::string(90, 'w')});
  Grid grid(10, 40, true);
  size_t scroll = 1000;
  draw_page("title", lines, scroll, grid);
  EXPECT_LT(scroll, 200U);
  EXPECT_EQ(grid.line(0), "title");
  EXPECT_EQ(grid.line(9), "any other key: back");
  Grid top(10, 40, true);
  scroll = 0;
  draw_page("title", lines, scroll, top);
  EXPECT_EQ(top.line(1), "n  0");
  EXPECT_THAT(top.line(9), HasSubstr("more lines below"));
}

TEST(TopView, Rates) {
  EXPECT_EQ(rate_text(0), "0");
  EXPECT_EQ(rate_text(0.01), "<0.1");
  EXPECT_EQ(rate_text(0.4), "0.4");
  EXPECT_EQ(rate_text(123.4), "123");
  EXPECT_EQ(rate_text(12'345), "12.3K");
  EXPECT_EQ(rate_text(12'345'678), "12.3M");
}

TEST(DeathPage, NamesAncestorsKillerAndSiblings) {
  TopModel model;
  const auto id = [](int32_t pid) {
    return knell_id{.boot = 1, .pid = pid, .start = 7, .kind = KNELL_ID_START};
  };
  const auto made = [&](int32_t pid, int32_t parent, int status) {
    EventForTest event = exit_of(pid, "p" + std::to_string(pid), status);
    event.process(pid, parent);
    event.event.id = id(pid);
    event.event.parent_id = id(parent);
    return event;
  };
  EventForTest it = made(30, 20, 9);
  it.killed_by(8103, 0, "bash").parent_comm("gcc");
  it.event.has |= KNELL_HAS_LAST_SIGNAL;
  it.event.killed_by.parent_pid = 8000;
  it.event.killed_by.parent_comm = {"deploy.sh", 9};
  model.add(it);
  model.add(made(31, 20, 0x100));
  model.add(made(20, 10, 0x200));
  const auto page = death_page(model, model.deaths().newest(2).event(), [&](const knell_id& asked) {
    if (asked.pid != 10) return std::optional<LiveProcess>();
    return std::optional(LiveProcess{.comm = "make", .parent = {}});
  });
  std::string text;
  for (const PageLine& line : page) text += line.label + "=" + line.text + "\n";
  EXPECT_THAT(text, HasSubstr("cause=kill by 8103 bash <- deploy.sh (root)\n"));
  EXPECT_THAT(text, HasSubstr("its parent=8000 deploy.sh\n"));
  EXPECT_THAT(text, HasSubstr("ancestors=20 p20  exit 2 at "));
  EXPECT_THAT(text, HasSubstr("\n=10 make\n"));
  EXPECT_THAT(text, HasSubstr("siblings=1 other child of the same parent died within a second\n"));
  EXPECT_THAT(text, HasSubstr("  31  exit 1  p31 x\n"));
}

}  // namespace
}  // namespace knell::cli
