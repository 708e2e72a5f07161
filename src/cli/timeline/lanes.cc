// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The lanes of the bars of a picture. A bar and all bars below it form a block: its height is the
// number of lanes, its width the time from the first start to the last end. The blocks of the
// children of a bar are packed below it: a block takes over the place of an earlier one that has
// ended and is high enough, the lowest such height first, else a new place is opened below.
#include <algorithm>
#include <map>
#include <queue>
#include <set>
#include <span>

#include "cli/timeline/picture.h"

namespace knell::cli {
namespace {

struct Block {
  uint64_t start_ns = 0, end_ns = 0;
  uint32_t height = 1;
  uint32_t offset = 0;  // from the lane of the parent
};

class Packing {
 public:
  // Blocks must come in the order of their starts. Returns the lane of the block, from 0.
  uint32_t place(const Block& block) {
    while (!busy_.empty() && busy_.top().end_ns <= block.start_ns) {
      free_[busy_.top().height].insert(busy_.top().lane);
      busy_.pop();
    }
    const auto fits = free_.lower_bound(block.height);
    if (fits == free_.end()) {
      busy_.push({block.end_ns, block.height, lanes_});
      lanes_ += block.height;
      return lanes_ - block.height;
    }
    const uint32_t lane = *fits->second.begin();
    busy_.push({block.end_ns, fits->first, lane});
    fits->second.erase(lane);
    if (fits->second.empty()) free_.erase(fits);
    return lane;
  }
  uint32_t lanes() const { return lanes_; }

 private:
  struct Place {
    uint64_t end_ns;
    uint32_t height, lane;
    bool operator>(const Place& other) const { return end_ns > other.end_ns; }
  };
  std::priority_queue<Place, std::vector<Place>, std::greater<>> busy_;
  std::map<uint32_t, std::set<uint32_t>> free_;  // height to lanes
  uint32_t lanes_ = 0;
};

// Places the blocks of the children, which are sorted here; returns the number of lanes.
uint32_t pack(std::span<uint32_t> children, std::vector<Block>& blocks) {
  std::ranges::sort(children, {}, [&](uint32_t i) { return std::pair(blocks[i].start_ns, i); });
  Packing packing;
  for (const uint32_t i : children) blocks[i].offset = packing.place(blocks[i]);
  return packing.lanes();
}

}  // namespace

uint32_t assign_lanes(std::vector<Bar>& bars) {
  // The children of each bar, one list after the other.
  std::vector<uint32_t> first(bars.size() + 1), children(bars.size()), top;
  for (const Bar& bar : bars)
    if (bar.parent != kNoBar) ++first[bar.parent + 1];
  for (size_t i = 1; i < first.size(); ++i) first[i] += first[i - 1];
  std::vector<uint32_t> next(first);
  for (uint32_t i = 0; i < bars.size(); ++i) {
    if (bars[i].parent == kNoBar)
      top.push_back(i);
    else
      children[next[bars[i].parent]++] = i;
  }
  std::vector<Block> blocks(bars.size());
  for (size_t i = bars.size(); i-- != 0;) {  // children before their parents
    const auto below = std::span(children).subspan(first[i], first[i + 1] - first[i]);
    Block& block = blocks[i];
    block.start_ns = bars[i].start_ns;
    block.end_ns = bars[i].end_ns;
    for (const uint32_t child : below) {
      block.start_ns = std::min(block.start_ns, blocks[child].start_ns);
      block.end_ns = std::max(block.end_ns, blocks[child].end_ns);
    }
    block.height = 1 + pack(below, blocks);
  }
  const uint32_t lanes = pack(top, blocks);
  for (size_t i = 0; i < bars.size(); ++i) {
    const uint32_t below = bars[i].parent == kNoBar ? 0 : bars[bars[i].parent].lane + 1;
    bars[i].lane = below + blocks[i].offset;
  }
  return lanes;
}

}  // namespace knell::cli
