// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/summary.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <knell/knell.hpp>
#include <tuple>
#include <vector>

#include "cli/text.h"

namespace knell::cli {

void Losses::add(const knell_event& lost) {
  if ((lost.has & KNELL_HAS_COUNT) == 0) {
    counted_ = false;
    return;
  }
  count_ += lost.lost_count;
  if ((lost.flags & KNELL_FLAG_EXACT) == 0) exact_ = false;
}

std::string Losses::text() const {
  if (!counted_)
    return count_ == 0 ? "an unknown number lost" : fmt::format("at least {} lost", count_);
  return fmt::format("{}{} lost", exact_ ? "" : "at most ", count_);
}

std::string short_unit(const knell_event& event) {
  constexpr std::string_view kService = ".service";
  constexpr size_t kContainerId = 12;  // as docker shows it
  if (event.unit.data != nullptr) {
    std::string unit = printable(event.unit);
    if (unit.ends_with(kService)) unit.resize(unit.size() - kService.size());
    return unit;
  }
  return printable(event.container_id).substr(0, kContainerId);
}

void Summary::count(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST)
    losses_.add(event);
  else
    ++shown_;
  if ((event.flags & KNELL_FLAG_RECOVERED) != 0) ++recovered_;
}

void Summary::add(const knell_event& event) {
  count(event);
  if (event.type == KNELL_EVENT_LOST) return;
  const bool exit = event.type == KNELL_EVENT_EXIT;
  std::string key = exit ? ended(event) : std::string(knell_type_name(event.type));
  const std::string unit = short_unit(event);
  const std::string where = unit.empty() ? printable(event.comm) : unit;
  if (!where.empty()) key += " " + where;
  if (kinds_.size() >= kKinds && !kinds_.contains(key)) return;
  Kind& kind = kinds_[key];
  ++kind.count;
  kind.killed = exit && (event.has & KNELL_HAS_STATUS) != 0 && WIFSIGNALED(event.wait_status);
}

std::string Summary::text() const {
  constexpr size_t kShown = 3;
  std::string out = fmt::format(" {} shown", shown_);
  if (recovered_ != 0) out += fmt::format(", {} of these recovered", recovered_);
  out += fmt::format(", {}", losses_.text());
  if (kinds_.empty()) return out;
  std::vector<std::pair<std::string_view, Kind>> sorted(kinds_.begin(), kinds_.end());
  const size_t shown = std::min(kShown, sorted.size());
  const auto before = [](const auto& a, const auto& b) {
    return std::tuple(b.second.count, b.second.killed, a.first) <
           std::tuple(a.second.count, a.second.killed, b.first);
  };
  std::partial_sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(shown),
                    sorted.end(), before);
  out += "; most: ";
  for (size_t i = 0; i < shown; ++i) {
    out += fmt::format("{}{} {}", i == 0 ? "" : ", ", sorted[i].first, sorted[i].second.count);
  }
  return out;
}

}  // namespace knell::cli
