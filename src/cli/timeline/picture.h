// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cli/timeline/critical_chain.h"
#include "cli/timeline/process_history.h"

namespace knell::cli {

constexpr uint32_t kNoBar = UINT32_MAX;

// One bar: a process, or processes of one parent that are too short to be drawn on their own, each
// with all below it. Times are nanoseconds from the beginning of the picture.
struct Bar {
  uint32_t process = kNoProcess;  // kNoProcess: a bar of merged processes
  uint32_t parent = kNoBar;
  uint64_t start_ns = 0, end_ns = 0;
  uint32_t count = 1;   // processes in it
  uint32_t failed = 0;  // of these
  uint32_t lane = 0;    // 0 is the top
  bool on_chain = false;
  uint64_t chain_ns = 0;  // ChainStep::own_ns

  bool merged() const { return process == kNoProcess; }
};

// A parent comes before its children, children in the order of their starts. Two bars in one lane
// do not overlap, and the bars below a process are in lanes below its own.
struct Picture {
  std::vector<Bar> bars;
  uint32_t lanes = 0;
  uint64_t span_ns = 0;
  uint64_t merged = 0;  // processes in merged bars
};

struct MergeRule {
  // About as many processes get bars of their own: those on the chain, then those that failed, then
  // the longest, and the ancestors of all these.
  size_t most;
  // Shorter ones get none, unless they are on the chain or failed.
  uint64_t shortest_ns = 0;
};

Picture make_picture(const ProcessHistory& history, const ChildIndex& children,
                     const std::vector<ChainStep>& chain, const MergeRule& rule);

// Sets the lanes of bars that are in the order of Picture::bars; returns the number of lanes.
// Children get the first lanes below their parent that are free while they and all below them run.
uint32_t assign_lanes(std::vector<Bar>& bars);

}  // namespace knell::cli
