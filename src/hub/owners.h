// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

namespace knell::hub {

// Whose uids those are that a user was given besides the own one, subuid(5): what such a uid takes
// counts as the owner's. Made from a file when the daemon starts; asks nobody.
class Owners {
 public:
  struct Range {
    uint32_t first = 0, count = 0;
    uint32_t owner = 0;
  };

  Owners() = default;
  // Where two users were given the same uid, the one named first has it. What root was given is
  // nobody's: root has no bounds, and who runs under such a uid must have some.
  explicit Owners(const std::vector<Range>& ranges);

  // The user who answers for `uid`: the owner, else itself.
  uint32_t owner_of(uint32_t uid) const;
  bool empty() const { return pieces_.empty(); }

 private:
  struct Piece {
    uint32_t first, last, owner;
  };
  std::vector<Piece> pieces_;  // by `first`; none overlaps another
};

}  // namespace knell::hub
