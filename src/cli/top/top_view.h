// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/top/grid.h"
#include "cli/top/top_control.h"
#include "cli/top/top_model.h"

namespace knell::cli {

// What the screen of `knell top` says beside the model. Times are CLOCK_REALTIME, ns.
struct TopFacts {
  enum class Mode : uint8_t { kLive, kPaused, kPast };
  Mode mode = Mode::kLive;
  std::string processes;     // "all processes"
  std::string source;        // "bpf"
  int64_t began_ns = 0;      // the begin of what the model counts
  int64_t now_ns = 0;        // the end of it
  uint64_t since_pause = 0;  // paused: how many died meanwhile
  bool births_known = true;
  bool reading = false;  // past: the journal is still being read
  std::string message;   // in place of the help at the bottom
  bool is_error = false;
};

// One line of a page: a label, and a text that is wrapped at the edge of the window.
struct PageLine {
  std::string label, text;
  Colour colour = Colour::kNone;
};

// The rows that the pane of deaths has in a window of `rows`.
size_t death_rows(size_t rows);
void draw_top(const TopModel& model, const TopState& state, const TopFacts& facts, Grid& grid);
// Limits `scroll` to what there is.
void draw_page(std::string_view title, std::span<const PageLine> lines, size_t& scroll, Grid& grid);
std::span<const PageLine> help_lines();

// "0", "0.4", "123", "12.3K".
std::string rate_text(double per_second);

}  // namespace knell::cli
