// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cli/top/key_press.h"
#include "cli/top/line_editor.h"
#include "cli/top/top_model.h"

namespace knell::cli {

// What the user has chosen to see.
struct TopState {
  enum class Page : uint8_t { kMain, kDeath, kHelp };
  Page page = Page::kMain;
  GroupKey key = GroupKey::kUnit;
  GroupOrder order = GroupOrder::kRate;
  bool failures_only = false;
  // The death that is marked, and in which row of the pane it is, so that it stays there while
  // others come; nullopt: the pane shows the newest ones.
  std::optional<uint64_t> selected;
  size_t selected_row = 0;
  size_t scroll = 0;                 // of a page
  std::optional<LineEditor> filter;  // while a filter is typed

  const DeathRing& shown_deaths(const TopModel& model) const {
    return failures_only ? model.failures() : model.deaths();
  }
};

// What a key asks of the program; what changes only TopState is done by press().
enum class TopAction : uint8_t {
  kNone,
  kQuit,
  kPause,         // or goes on
  kOpen,          // the marked death, or the newest
  kFilter,        // with the text of TopState::filter
  kEarlier,       // a step back in time
  kLater,         // a step forward
  kEarlierDeath,  // back to the last death that is stored
  kNow,
  kLongerStep,
  kShorterStep,
  kStartFilter,  // fill in the current one
  kRedraw
};

// `rows`: those of the pane of deaths, or of the page.
TopAction press(const KeyPress& key, TopState& state, const TopModel& model, size_t rows);

}  // namespace knell::cli
