// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/exit_counts.h"

#include <algorithm>
#include <tuple>

namespace knell::daemon {
namespace {

constexpr std::string_view kOther = "_other";

}  // namespace

std::string_view ExitCounts::bounded(Names& names, std::string_view name) {
  if (name.empty() || names.contains(name)) return name;
  if (names.size() == kMostNames) return kOther;
  names.emplace(name);
  return name;
}

void ExitCounts::add(Exit exit) {
  if (exit.ended != "exit 0") ++nonzero_;
  exit.comm = bounded(comms_, exit.comm);
  exit.container = bounded(containers_, exit.container);
  auto at = counts_.find(exit);
  if (at == counts_.end()) {
    if (counts_.size() >= kMost) exit = {kOther, exit.ended, {}, {}};
    const Key key{std::string(exit.unit), std::string(exit.ended), std::string(exit.comm),
                  std::string(exit.container)};
    at = counts_.try_emplace(key, 0).first;
  }
  ++at->second;
}

std::vector<Status::Exits> ExitCounts::table() const {
  std::vector<Status::Exits> out;
  out.reserve(counts_.size());
  for (const auto& [key, count] : counts_)
    out.push_back({key.unit, key.ended, key.comm, key.container, count});
  std::ranges::sort(out, [](const Status::Exits& a, const Status::Exits& b) {
    return std::tie(b.count, a.unit, a.ended, a.comm, a.container) <
           std::tie(a.count, b.unit, b.ended, b.comm, b.container);
  });
  return out;
}

}  // namespace knell::daemon
