// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/signal_sorter.h"

#include <algorithm>

namespace knell::cli {
namespace {

bool same_source(const siginfo_t& a, const siginfo_t& b) {
  return a.si_signo == b.si_signo && a.si_code == b.si_code && a.si_pid == b.si_pid &&
         a.si_uid == b.si_uid;
}

// kill(2) and the kernel can signal a group; all other calls signal one process or thread.
bool may_be_group(const siginfo_t& info) {
  return info.si_code == SI_USER || info.si_code == SI_KERNEL;
}

}  // namespace

void SignalSorter::add_own(const siginfo_t& info, Time now) {
  if (!may_be_group(info)) {
    own_.push_back({info, now});
    return;
  }
  const auto match = std::ranges::find_if(
      probe_, [&](const Entry& entry) { return same_source(entry.info, info); });
  if (match == probe_.end()) {
    own_.push_back({info, now + kSettle});
    return;
  }
  probe_.erase(match);
  own_.push_back({info, now, true});
}

void SignalSorter::add_probe(const siginfo_t& info, Time now) {
  if (!may_be_group(info)) return;
  const auto match = std::ranges::find_if(
      own_, [&](const Entry& entry) { return !entry.group && same_source(entry.info, info); });
  if (match == own_.end()) {
    probe_.push_back({info, now + kSettle});
    return;
  }
  match->group = true;
  match->until = now;
}

std::vector<SignalSorter::Sorted> SignalSorter::take(Time now) {
  std::vector<Sorted> out;
  for (const Entry& entry : own_) {
    if (entry.until <= now)
      out.push_back({entry.info, entry.group ? Target::kGroup : Target::kProcess});
  }
  const auto decided = [now](const Entry& entry) { return entry.until <= now; };
  std::erase_if(own_, decided);
  std::erase_if(probe_, decided);
  return out;
}

std::optional<SignalSorter::Time> SignalSorter::next() const {
  const auto first = std::ranges::min_element(own_, {}, &Entry::until);
  if (first == own_.end()) return std::nullopt;
  return first->until;
}

}  // namespace knell::cli
