// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/exit_counts.h"

#include <algorithm>
#include <tuple>

namespace knell::daemon {

void ExitCounts::add(std::string_view unit, std::string_view ended) {
  if (ended != "exit 0") ++nonzero_;
  auto at = counts_.find(View{unit, ended});
  if (at == counts_.end()) {
    // Room is kept for the one that stands for all others.
    const bool full = counts_.size() + 1 >= kMost;
    const View key = full ? View{"other", "other"} : View{unit, ended};
    at = counts_.try_emplace(Key{key.first, key.second}, 0).first;
  }
  ++at->second;
}

std::vector<Status::Exits> ExitCounts::table() const {
  std::vector<Status::Exits> out;
  out.reserve(counts_.size());
  for (const auto& [key, count] : counts_) out.push_back({key.first, key.second, count});
  std::ranges::sort(out, [](const Status::Exits& a, const Status::Exits& b) {
    return std::tie(b.count, a.unit, a.ended) < std::tie(a.count, b.unit, b.ended);
  });
  return out;
}

}  // namespace knell::daemon
