// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "filter/predicates.h"

namespace knell::watch {

// The roots that the subject of one event is under, as recorded for that event: a bit for each of
// `roots`, in their order. `roots` must outlive it.
class RootBits final : public filter::Ancestry {
 public:
  RootBits(const std::vector<int32_t>& roots, uint64_t bits) : roots_(roots), bits_(bits) {}
  bool is_under(int32_t root, const knell_event&) const override {
    const auto at = std::ranges::find(roots_, root);
    return at != roots_.end() && ((bits_ >> (at - roots_.begin())) & 1) != 0;
  }

 private:
  const std::vector<int32_t>& roots_;
  uint64_t bits_;
};

}  // namespace knell::watch
