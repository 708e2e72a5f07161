// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/subordinate_uids.h"

#include <algorithm>
#include <limits>

namespace knell::hub {

SubordinateUids::SubordinateUids(const std::vector<Range>& ranges) {
  constexpr uint64_t kMost = std::numeric_limits<uint32_t>::max();
  for (const Range& range : ranges) {
    if (range.owner == 0 || range.count == 0) continue;
    // uid 0 always belongs to root.
    uint64_t first = std::max<uint64_t>(range.first, 1);
    const uint64_t end = std::min<uint64_t>(uint64_t{range.first} + range.count, kMost);
    // Leaves out the uids that earlier ranges have; this may split the range.
    std::vector<Piece> more;
    for (const Piece& taken : pieces_) {
      if (taken.last < first || taken.first >= end) continue;
      if (taken.first > first)
        more.push_back({static_cast<uint32_t>(first), taken.first - 1, range.owner});
      first = uint64_t{taken.last} + 1;
    }
    if (first < end)
      more.push_back({static_cast<uint32_t>(first), static_cast<uint32_t>(end - 1), range.owner});
    pieces_.insert(pieces_.end(), more.begin(), more.end());
    std::ranges::sort(pieces_, {}, &Piece::first);
  }
}

uint32_t SubordinateUids::owner_of(uint32_t uid) const {
  const auto after = std::ranges::upper_bound(pieces_, uid, {}, &Piece::first);
  if (after == pieces_.begin()) return uid;
  const Piece& piece = *std::prev(after);
  return uid <= piece.last ? piece.owner : uid;
}

}  // namespace knell::hub
