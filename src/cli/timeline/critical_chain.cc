// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/critical_chain.h"

#include <algorithm>
#include <utility>

namespace knell::cli {
namespace {

// How many descendants each process has.
std::vector<uint32_t> descendants(const ProcessHistory& history, const ChildIndex& children) {
  const auto processes = history.processes();
  std::vector<uint32_t> order(children.top().begin(), children.top().end());  // parents first
  order.reserve(processes.size());
  for (size_t at = 0; at < order.size(); ++at)
    for (const uint32_t child : children.of(order[at])) order.push_back(child);
  std::vector<uint32_t> count(processes.size());
  for (auto at = order.rbegin(); at != order.rend(); ++at) {
    const uint32_t parent = processes[*at].parent;
    if (parent != kNoProcess) count[parent] += count[*at] + 1;
  }
  return count;
}

}  // namespace

std::vector<ChainStep> critical_chain(const ProcessHistory& history, const ChildIndex& children) {
  const auto processes = history.processes();
  if (children.top().empty()) return {};
  const std::vector<uint32_t> count = descendants(history, children);
  const uint32_t first =
      *std::ranges::max_element(children.top(), {}, [&](uint32_t i) { return count[i]; });
  std::vector<ChainStep> steps{{first, 0}};
  for (size_t at = 0; at < steps.size(); ++at) {
    const PastProcess& process = processes[steps[at].process];
    const auto all = children.of(steps[at].process);
    std::vector<uint32_t> by_end(all.begin(), all.end());
    std::ranges::sort(by_end, std::ranges::greater{},
                      [&](uint32_t i) { return processes[i].end_ns; });
    const uint64_t start = history.shown_start_ns(process);
    uint64_t until = process.end_ns, own = 0;
    for (const uint32_t i : by_end) {
      const PastProcess& child = processes[i];
      if (child.end == PastProcess::End::kRunning || child.end_ns > until || child.end_ns < start)
        continue;
      own += until - child.end_ns;
      until = std::max(history.shown_start_ns(child), start);
      steps.push_back({i, 0});
    }
    steps[at].own_ns = own + (until - start);
  }
  std::ranges::sort(steps, {}, [&](const ChainStep& step) {
    return std::pair(processes[step.process].start_ns, step.process);
  });
  return steps;
}

}  // namespace knell::cli
