// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/root_starts.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/proc_stat.h"

namespace knell::daemon {
namespace {

struct SavedRoot {
  uint64_t start;
  int64_t pid;
};

}  // namespace

uint64_t RootStarts::read_from_proc(int32_t pid) {
  const auto stat = read_proc_stat(pid);
  return stat ? stat->start : 0;
}

Result<void> RootStarts::check(std::span<const int32_t> roots) const {
  for (const int32_t root : roots) {
    const auto followed = starts_.find(root);
    if (followed == starts_.end() || followed->second == 0) continue;
    const uint64_t now = read_(root);
    if (now == 0 || now == followed->second) continue;
    return say(EBUSY,
               "under: another listener follows the descendants of an earlier process with "
               "the pid " +
                   std::to_string(root) + "; try again when that listener has ended");
  }
  return {};
}

void RootStarts::set(std::span<const int32_t> roots) {
  changed_ |= std::erase_if(starts_, [&](const auto& one) {
                return std::ranges::find(roots, one.first) == roots.end();
              }) != 0;
  for (const int32_t root : roots) {
    const auto [at, fresh] = starts_.try_emplace(root, 0);
    if (fresh) at->second = read_(root);
    changed_ |= fresh;
  }
}

std::string RootStarts::save() const {
  std::string saved;
  for (const auto& [pid, start] : starts_) {
    const SavedRoot one{.start = start, .pid = pid};
    saved.append(reinterpret_cast<const char*>(&one), sizeof one);
  }
  return saved;
}

void RootStarts::restore(std::string_view saved) {
  starts_.clear();
  for (SavedRoot one{}; saved.size() >= sizeof one; saved.remove_prefix(sizeof one)) {
    std::memcpy(&one, saved.data(), sizeof one);
    starts_.emplace(static_cast<int32_t>(one.pid), one.start);
  }
}

}  // namespace knell::daemon
