// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/picture.h"

#include <algorithm>
#include <tuple>

namespace knell::cli {
namespace {

// Merged bars are split where they get longer than this part of the picture, about a pixel.
constexpr uint64_t kMergedPart = 1500;

class PictureMaker {
 public:
  PictureMaker(const ProcessHistory& history, const ChildIndex& children,
               const std::vector<ChainStep>& chain, const MergeRule& rule)
      : history_(history), children_(children), rule_(rule), chain_ns_(history.processes().size()) {
    for (const ChainStep& step : chain) chain_ns_[step.process] = {true, step.own_ns};
    picture_.span_ns = history.end_ns() - history.begin_ns();
    longest_merged_ns_ = std::max(picture_.span_ns / kMergedPart, rule.shortest_ns);
    choose();
  }

  Picture make() {
    add_children(children_.top(), kNoBar);
    // Depth first, without recursion. The children of a bar are added when the bar is taken.
    while (!waiting_.empty()) {
      Bar bar = waiting_.back();
      waiting_.pop_back();
      const auto index = static_cast<uint32_t>(picture_.bars.size());
      picture_.bars.push_back(bar);
      if (bar.merged())
        picture_.merged += bar.count;
      else
        add_children(children_.of(bar.process), index);
    }
    picture_.lanes = assign_lanes(picture_.bars);
    return std::move(picture_);
  }

 private:
  uint64_t shown_ns(uint32_t i) const {
    const PastProcess& process = history_.processes()[i];
    return process.end_ns - history_.shown_start_ns(process);
  }

  // Chooses the processes that get bars of their own. `chosen_` always has the ancestors too.
  void choose() {
    const auto processes = history_.processes();
    const auto rank = [&](uint32_t i) {
      return std::tuple(chain_ns_[i].on, processes[i].failed(), shown_ns(i));
    };
    std::vector<uint32_t> order;
    for (uint32_t i = 0; i < processes.size(); ++i) {
      const auto [on_chain, failed, length] = rank(i);
      if (on_chain || failed || length >= rule_.shortest_ns) order.push_back(i);
    }
    if (order.size() > rule_.most) {
      const auto middle = order.begin() + static_cast<std::ptrdiff_t>(rule_.most);
      std::ranges::nth_element(order, middle, std::ranges::greater{}, rank);
      order.resize(rule_.most);
    }
    chosen_.resize(processes.size());
    for (uint32_t i : order)
      for (; i != kNoProcess && !chosen_[i]; i = processes[i].parent) chosen_[i] = true;
  }

  Bar bar_of(uint32_t i, uint32_t parent) const {
    const PastProcess& process = history_.processes()[i];
    return {.process = i,
            .parent = parent,
            .start_ns = history_.shown_start_ns(process) - history_.begin_ns(),
            .end_ns = process.end_ns - history_.begin_ns(),
            .failed = process.failed() ? 1u : 0u,
            .on_chain = chain_ns_[i].on,
            .chain_ns = chain_ns_[i].own_ns};
  }

  // A bar of the process and all below it, none of which is chosen. One without children stays a
  // bar of its own unless it is merged with its neighbours.
  Bar merged_bar(uint32_t top, uint32_t parent) {
    Bar all = bar_of(top, parent);
    below_.assign(1, top);
    for (size_t at = 0; at < below_.size(); ++at) {
      const auto children = children_.of(below_[at]);
      below_.insert(below_.end(), children.begin(), children.end());
      const Bar one = bar_of(below_[at], parent);
      all.start_ns = std::min(all.start_ns, one.start_ns);
      all.end_ns = std::max(all.end_ns, one.end_ns);
      if (at != 0) all.failed += one.failed;
    }
    if (below_.size() > 1) all.process = kNoProcess;
    all.count = static_cast<uint32_t>(below_.size());
    return all;
  }

  void add_children(std::span<const uint32_t> children, uint32_t parent) {
    const size_t first = waiting_.size();
    size_t open = SIZE_MAX;  // the merged bar that may still grow
    for (const uint32_t child : children) {
      if (chosen_[child]) {
        waiting_.push_back(bar_of(child, parent));
        continue;
      }
      const Bar next = merged_bar(child, parent);
      if (open != SIZE_MAX) {
        Bar& bar = waiting_[open];
        if (std::max(bar.end_ns, next.end_ns) - bar.start_ns <= longest_merged_ns_) {
          bar.process = kNoProcess;
          bar.end_ns = std::max(bar.end_ns, next.end_ns);
          bar.count += next.count;
          bar.failed += next.failed;
          continue;
        }
      }
      open = waiting_.size();
      waiting_.push_back(next);
    }
    std::ranges::reverse(waiting_.begin() + static_cast<std::ptrdiff_t>(first), waiting_.end());
  }

  struct OnChain {
    bool on = false;
    uint64_t own_ns = 0;
  };
  const ProcessHistory& history_;
  const ChildIndex& children_;
  const MergeRule rule_;
  std::vector<OnChain> chain_ns_;
  std::vector<bool> chosen_;
  uint64_t longest_merged_ns_ = 0;
  std::vector<Bar> waiting_;     // the next one is at the end
  std::vector<uint32_t> below_;  // used by merged_bar() only
  Picture picture_;
};

}  // namespace

Picture make_picture(const ProcessHistory& history, const ChildIndex& children,
                     const std::vector<ChainStep>& chain, const MergeRule& rule) {
  return PictureMaker(history, children, chain, rule).make();
}

}  // namespace knell::cli
