// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/top/top_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <knell/knell.hpp>
#include <tuple>

namespace knell::cli {
namespace {

int64_t second_of(int64_t time_ns) { return time_ns / TopModel::kSecondNs; }

// The name of the event's group. A fork counts for the group of the parent, which the child shares
// at its birth. `space` stores a name that is not part of the event.
std::string_view group_name(GroupKey key, const knell_event& event, fmt::memory_buffer& space) {
  switch (key) {
    case GroupKey::kUnit:
      return view(event.unit);
    case GroupKey::kName:
      return view(event.comm);
    case GroupKey::kUser:
      if (event.user.data != nullptr || (event.has & KNELL_HAS_UID) == 0) return view(event.user);
      space.clear();
      fmt::format_to(fmt::appender(space), "{}", event.uid);
      return {space.data(), space.size()};
    case GroupKey::kContainer:
      return view(event.container_id);
  }
  return {};
}

bool same_process(const knell_id& a, const knell_id& b) {
  return a.kind != KNELL_ID_NONE && a.kind == b.kind && a.boot == b.boot && a.pid == b.pid &&
         a.start == b.start;
}

bool same_parent(const knell_event& a, const knell_event& b) {
  if (a.parent_id.kind != KNELL_ID_NONE && b.parent_id.kind != KNELL_ID_NONE)
    return same_process(a.parent_id, b.parent_id);
  return a.ppid != 0 && a.ppid == b.ppid;
}

}  // namespace

std::string_view name_of(GroupKey key) {
  static constexpr std::string_view kNames[kGroupKeys] = {"unit", "name", "user", "container"};
  return kNames[static_cast<size_t>(key)];
}

std::string_view name_of(GroupOrder order) {
  static constexpr std::string_view kNames[kGroupOrders] = {"rate", "total", "failures"};
  return kNames[static_cast<size_t>(order)];
}

void DeathRing::add(uint64_t number, const knell_event& event) {
  if (deaths_.size() < most_) {
    deaths_.push_back({number, EventCopy(event)});
    return;
  }
  Death& oldest = deaths_[next_];
  oldest.number = number;
  oldest.copy.assign(event);
  next_ = (next_ + 1) % deaths_.size();
}

size_t DeathRing::position_of(uint64_t number) const {
  size_t low = 0, high = size();  // the numbers decrease with the position
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (newest(middle).number > number)
      low = middle + 1;
    else
      high = middle;
  }
  return low < size() && newest(low).number == number ? low : size();
}

TopModel::TopModel(const Options& options)
    : options_(options), deaths_(options.most_deaths), failures_(options.most_failures) {}

// Moves the quarter of the groups with the oldest last events to the other ones. A whole quarter,
// so that a stream of new names does not search the table for each name.
void TopModel::evict(Table& table) const {
  std::vector<int64_t> times;
  times.reserve(table.groups.size());
  for (const auto& [name, group] : table.groups) times.push_back(group.last_ns);
  const auto quarter = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 4);
  std::ranges::nth_element(times, quarter);
  std::erase_if(table.groups, [&](const auto& entry) {
    if (entry.second.last_ns > *quarter) return false;
    table.other.total += entry.second.total;
    return true;
  });
  table.any_other = true;
  table.last.name = nullptr;
}

TopModel::Group& TopModel::group_of(GroupKey key, std::string_view name) {
  Table& table = tables_[static_cast<size_t>(key)];
  if (table.last.name != nullptr && *table.last.name == name) return *table.last.group;
  auto found = table.groups.find(name);
  if (found == table.groups.end()) {
    if (table.groups.size() >= options_.most_groups) evict(table);
    found = table.groups.try_emplace(std::string(name)).first;
  }
  table.last.name = &found->first;
  table.last.group = &found->second;
  return found->second;
}

void TopModel::add(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) {
    losses_.add(event);
    ++last_number_;
    deaths_.add(last_number_, event);
    failures_.add(last_number_, event);
    return;
  }
  ProcessCounts counts;
  if (event.type == KNELL_EVENT_FORK) {
    if (event.child_tid != 0 && event.child_tid != event.child_pid) return;  // a thread
    counts.born = 1;
  } else if (event.type == KNELL_EVENT_EXIT) {
    counts.died = 1;
    counts.failed = is_failure(event) ? 1 : 0;
    ++last_number_;
    deaths_.add(last_number_, event);
    if (counts.failed != 0) failures_.add(last_number_, event);
  } else {
    return;
  }
  total_ += counts;
  graph_.slot(event.time_ns / options_.slot_ns) += counts;
  fmt::memory_buffer space;
  for (size_t i = 0; i < kGroupKeys; ++i) {
    const auto key = static_cast<GroupKey>(i);
    Group& group = group_of(key, group_name(key, event, space));
    group.total += counts;
    group.last_ns = event.time_ns;
    group.seconds.slot(second_of(event.time_ns)) += counts;
    if ((event.has & KNELL_HAS_DURATION) != 0) group.lives.add(event.duration_ns);
  }
}

ProcessCounts TopModel::recent(const Group& group, int64_t now_ns) {
  ProcessCounts sum;
  for (int64_t back = 1; back <= kRateSeconds; ++back)
    sum += group.seconds.at(second_of(now_ns) - back);
  return sum;
}

std::vector<TopModel::Row> TopModel::rows(GroupKey key, GroupOrder order, int64_t now_ns,
                                          size_t most) const {
  const Table& table = tables_[static_cast<size_t>(key)];
  struct Ranked {
    std::tuple<uint64_t, uint64_t, uint64_t> rank;
    Row row;
  };
  std::vector<Ranked> all;
  all.reserve(table.groups.size());
  for (const auto& [name, group] : table.groups) {
    const ProcessCounts now = recent(group, now_ns);
    const ProcessCounts& total = group.total;
    const auto rank = order == GroupOrder::kRate ? std::tuple(now.died, now.born, total.died)
                      : order == GroupOrder::kFailures
                          ? std::tuple(total.failed, now.died, total.died)
                          : std::tuple(total.died, now.died, total.born);
    all.push_back({rank, {.name = name, .group = &group}});
  }
  const size_t shown = std::min(most, all.size());
  std::ranges::partial_sort(all, all.begin() + static_cast<std::ptrdiff_t>(shown),
                            [](const Ranked& a, const Ranked& b) {
                              return a.rank != b.rank ? a.rank > b.rank : a.row.name < b.row.name;
                            });
  std::vector<Row> out;
  out.reserve(shown + 1);
  for (size_t i = 0; i < shown; ++i) out.push_back(all[i].row);
  if (table.any_other && out.size() < most)
    out.push_back({.name = {}, .group = &table.other, .other = true});
  return out;
}

const Death* TopModel::find(const knell_id& id) const {
  for (const DeathRing* ring : {&deaths_, &failures_})
    for (size_t i = 0; i < ring->size(); ++i)
      if (same_process(ring->newest(i).event().id, id)) return &ring->newest(i);
  return nullptr;
}

std::vector<const Death*> TopModel::siblings(const knell_event& exit) const {
  std::vector<const Death*> found;
  for (const DeathRing* ring : {&deaths_, &failures_}) {
    for (size_t i = 0; i < ring->size(); ++i) {
      const Death& death = ring->newest(i);
      const knell_event& event = death.event();
      if (death.is_loss() || !same_parent(event, exit)) continue;
      if (event.pid == exit.pid && event.time_ns == exit.time_ns) continue;
      if (std::abs(event.time_ns - exit.time_ns) > kSecondNs) continue;
      found.push_back(&death);
    }
  }
  std::ranges::sort(found, {}, &Death::number);
  const auto repeated = std::ranges::unique(found, {}, &Death::number);  // present in both rings
  found.erase(repeated.begin(), repeated.end());
  return found;
}

bool TopModel::reaches_back_to(int64_t time_ns) const {
  return !deaths_.full() || deaths_.newest(deaths_.size() - 1).event().time_ns <= time_ns;
}

}  // namespace knell::cli
