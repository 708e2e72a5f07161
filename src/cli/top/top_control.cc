// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/top/top_control.h"

#include <algorithm>

namespace knell::cli {
namespace {

using Code = KeyPress::Code;

// Marks the death that is `by` positions further down. Without a mark, one above the newest counts
// as the position.
void move_mark(int64_t by, TopState& state, const TopModel& model, size_t rows) {
  const DeathRing& deaths = state.shown_deaths(model);
  if (deaths.size() == 0) return;
  const auto last = static_cast<int64_t>(deaths.size()) - 1;
  const auto last_row = static_cast<int64_t>(std::max<size_t>(rows, 1)) - 1;
  int64_t from = -1, from_row = -1;
  if (state.selected) {
    // A death that was dropped meanwhile was the oldest.
    from = std::min(static_cast<int64_t>(deaths.position_of(*state.selected)), last);
    from_row = static_cast<int64_t>(state.selected_row);
  }
  const int64_t to = std::clamp<int64_t>(from + by, 0, last);
  const int64_t row = std::clamp<int64_t>(from_row + to - from, 0, std::min(last_row, to));
  state.selected_row = static_cast<size_t>(row);
  state.selected = deaths.newest(static_cast<size_t>(to)).number;
}

TopAction press_in_filter(const KeyPress& key, TopState& state) {
  if (key.code == Code::kEscape) {
    state.filter.reset();
    return TopAction::kNone;
  }
  if (key.code == Code::kEnter) return TopAction::kFilter;
  state.filter->press(key);
  return TopAction::kNone;
}

TopAction press_in_page(const KeyPress& key, TopState& state, size_t rows) {
  const size_t page = std::max<size_t>(rows, 2) - 1;
  const char character = key.code == Code::kText ? key.text.front() : '\0';
  if (key.code == Code::kUp || character == 'k')
    state.scroll -= std::min<size_t>(state.scroll, 1);
  else if (key.code == Code::kDown || character == 'j')
    ++state.scroll;  // limited where it is drawn
  else if (key.code == Code::kPageUp)
    state.scroll -= std::min(state.scroll, page);
  else if (key.code == Code::kPageDown || character == ' ')
    state.scroll += page;
  else if (key.code == Code::kHome)
    state.scroll = 0;
  else if (key.code == Code::kRedraw)
    return TopAction::kRedraw;
  else if (key.code != Code::kOther)
    state.page = TopState::Page::kMain;
  return TopAction::kNone;
}

TopAction press_character(char character, TopState& state, const TopModel& model, size_t rows) {
  switch (character) {
    case 'q':
      return TopAction::kQuit;
    case '?':
    case 'h':
      state.page = TopState::Page::kHelp;
      state.scroll = 0;
      return TopAction::kNone;
    case ' ':
      return TopAction::kPause;
    case '/':
      return TopAction::kStartFilter;
    case 'g':
      state.key = static_cast<GroupKey>((static_cast<size_t>(state.key) + 1) % kGroupKeys);
      return TopAction::kNone;
    case 's':
      state.order = static_cast<GroupOrder>((static_cast<size_t>(state.order) + 1) % kGroupOrders);
      return TopAction::kNone;
    case 'f':
      state.failures_only = !state.failures_only;
      state.selected.reset();
      return TopAction::kNone;
    case 'j':
      move_mark(1, state, model, rows);
      return TopAction::kNone;
    case 'k':
      move_mark(-1, state, model, rows);
      return TopAction::kNone;
    case '+':
      return TopAction::kLongerStep;
    case '-':
      return TopAction::kShorterStep;
    case 'b':
      return TopAction::kEarlierDeath;
    default:
      return TopAction::kNone;
  }
}

}  // namespace

TopAction press(const KeyPress& key, TopState& state, const TopModel& model, size_t rows) {
  if (state.filter) return press_in_filter(key, state);
  if (state.page != TopState::Page::kMain) return press_in_page(key, state, rows);
  const auto page = static_cast<int64_t>(std::max<size_t>(rows, 2)) - 1;
  switch (key.code) {
    case Code::kText:
      return press_character(key.text.front(), state, model, rows);
    case Code::kTab:
      return press_character('g', state, model, rows);
    case Code::kUp:
      move_mark(-1, state, model, rows);
      return TopAction::kNone;
    case Code::kDown:
      move_mark(1, state, model, rows);
      return TopAction::kNone;
    case Code::kPageUp:
      move_mark(-page, state, model, rows);
      return TopAction::kNone;
    case Code::kPageDown:
      move_mark(page, state, model, rows);
      return TopAction::kNone;
    case Code::kEnd:
      move_mark(INT32_MAX, state, model, rows);
      return TopAction::kNone;
    case Code::kHome:
      state.selected.reset();
      return TopAction::kNone;
    case Code::kEscape:
      if (!state.selected) return TopAction::kNow;
      state.selected.reset();
      return TopAction::kNone;
    case Code::kEnter:
      return TopAction::kOpen;
    case Code::kLeft:
      return TopAction::kEarlier;
    case Code::kRight:
      return TopAction::kLater;
    case Code::kRedraw:
      return TopAction::kRedraw;
    default:
      return TopAction::kNone;
  }
}

}  // namespace knell::cli
