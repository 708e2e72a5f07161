// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace knell::hub {

// The owners of subordinate uids, subuid(5): what such a uid uses is charged to its owner.
// Immutable; owner_of() reads no file and asks no user database.
class SubordinateUids {
 public:
  struct Range {
    uint32_t first = 0, count = 0;
    uint32_t owner = 0;
  };

  SubordinateUids() = default;
  // If two ranges have the same uid, the first range wins. Ranges of root are ignored: root has no
  // quotas, so a subordinate uid of root would have none either.
  explicit SubordinateUids(const std::vector<Range>& ranges);

  // The user that is charged for `uid`: its owner, else `uid` itself.
  uint32_t owner_of(uint32_t uid) const;
  bool empty() const { return pieces_.empty(); }

 private:
  struct Piece {
    uint32_t first, last, owner;
  };
  std::vector<Piece> pieces_;  // sorted by `first`, disjoint
};

}  // namespace knell::hub
