// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/exit_metrics.h"

#include <algorithm>
#include <array>
#include <knell/knell.hpp>
#include <optional>
#include <string_view>

namespace knell::exporter {
namespace {

constexpr std::string_view kNone = "_none";  // the process is in no unit

std::string_view unit_or_none(const knell_string& unit) {
  return unit.data == nullptr || unit.size == 0 ? kNone : view(unit);
}

// Finds or adds the row of a name that has a label, and removes the row of the one it replaced.
template <class Rows>
typename Rows::mapped_type& row_of(Rows& rows, TopNames& names, std::string_view name,
                                   TopNames::Time now, bool earns_place) {
  if (earns_place) {
    if (const auto gone = names.count(name, now)) rows.erase(*gone);
  }
  const std::string_view label = names.label(name);
  const auto at = rows.find(label);
  return at != rows.end() ? at->second : rows[std::string(label)];
}

template <class Counts>
void add_failures(Families& out, std::string_view label, std::string_view name,
                  const Counts& failures) {
  for (size_t i = 0; i < kEndings.size(); ++i) {
    if (failed(static_cast<Ending>(i)))
      out.add({{label, name}, {"ended", kEndings[i]}}, static_cast<double>(failures[i]));
  }
}

// As systemctl and the predicate `unit` do it: a name without the suffix of a unit is a service.
std::string unit_name(std::string name) {
  constexpr std::array<std::string_view, 11> kSuffixes{
      ".service", ".scope",     ".slice", ".socket", ".mount", ".swap",
      ".device",  ".automount", ".path",  ".target", ".timer"};
  if (std::ranges::none_of(kSuffixes, [&](auto suffix) { return name.ends_with(suffix); }))
    name += ".service";
  return name;
}

std::vector<std::string> with_none(std::vector<std::string> units) {
  std::ranges::transform(units, units.begin(), unit_name);
  units.emplace_back(kNone);
  return units;
}

}  // namespace

ExitMetrics::ExitMetrics(const Options& options, TopNames::Time now)
    : by_container_(options.containers),
      unit_names_(options.places, with_none(options.units), now),
      container_names_(options.places, {}, now),
      killer_names_(options.places, with_none(options.units), now) {
  for (const std::string& unit : unit_names_.configured()) {
    units_[unit];
    killers_[unit];
  }
  units_[std::string(TopNames::kOther)];
  killers_[std::string(TopNames::kOther)];
}

void ExitMetrics::count(const knell_event& event, TopNames::Time now) {
  if (event.type == KNELL_EVENT_LOST) {
    ++losses_;
    lost_ += event.lost_count;  // 0 if it is unknown
    return;
  }
  if (event.type != KNELL_EVENT_EXIT) return;
  ++received_;
  const Ending ending = ending_of(event);
  ++exits_[static_cast<size_t>(ending)];
  count_unit(event, ending, now);
  if (by_container_) count_container(event, ending, now);
  if ((event.has & KNELL_HAS_KILLER) != 0) count_killer(event, now);
}

void ExitMetrics::count_unit(const knell_event& exit, Ending ending, TopNames::Time now) {
  const std::string_view name = unit_or_none(exit.unit);
  Unit& unit = row_of(units_, unit_names_, name, now, failed(ending));
  if (failed(ending)) ++unit.failures[static_cast<size_t>(ending)];
  if (ending == Ending::kOom) ++unit.oom_kills;
  const bool child_of_manager = (exit.has & KNELL_HAS_PPID) != 0 && exit.ppid == 1;
  if (child_of_manager && name.ends_with(".service")) ++unit.top_level;
}

void ExitMetrics::count_container(const knell_event& exit, Ending ending, TopNames::Time now) {
  if (exit.container_id.size == 0 || !failed(ending)) return;
  // As `docker ps` shows it.
  const std::string_view id = view(exit.container_id).substr(0, 12);
  ++row_of(containers_, container_names_, id, now, true)[static_cast<size_t>(ending)];
}

void ExitMetrics::count_killer(const knell_event& exit, TopNames::Time now) {
  if (exit.killed_by.cause == KNELL_CAUSE_KERNEL) ++killed_by_kernel_;
  if (exit.killed_by.cause == KNELL_CAUSE_OOM) ++killed_by_oom_;
  if (exit.killed_by.cause != KNELL_CAUSE_USER) return;
  ++row_of(killers_, killer_names_, unit_or_none(exit.killed_by.unit), now, true);
}

void ExitMetrics::collect(Families& out) const {
  const auto number = [](uint64_t value) { return static_cast<double>(value); };
  out.counter("knell_process_exits_total", "Processes that ended, by how they ended.");
  for (size_t i = 0; i < kEndings.size(); ++i) out.add({{"ended", kEndings[i]}}, number(exits_[i]));

  out.counter("knell_process_failures_total",
              "Processes that failed, by systemd unit; units without a series are _other.");
  for (const auto& [name, unit] : units_) add_failures(out, "unit", name, unit.failures);

  out.counter("knell_oom_kills_total", "Processes that the out-of-memory killer killed, by unit.");
  for (const auto& [name, unit] : units_) out.add({{"unit", name}}, number(unit.oom_kills));

  out.counter("knell_service_process_exits_total",
              "Processes of a service that ended and whose parent was the service manager: one for "
              "each restart, and one for each orphan of the service.");
  for (const auto& [name, unit] : units_) {
    if (name.ends_with(".service") || name == TopNames::kOther)
      out.add({{"unit", name}}, number(unit.top_level));
  }

  if (by_container_) {
    out.counter("knell_container_failures_total", "Processes that failed, by container.");
    for (const auto& [name, counts] : containers_) add_failures(out, "container", name, counts);
  }

  out.counter("knell_process_kills_total",
              "Processes that a signal killed, by who sent it, where that is certain: another "
              "process (with its unit), the kernel, or its out-of-memory killer.");
  out.add({{"cause", "kernel"}}, number(killed_by_kernel_));
  out.add({{"cause", "oom"}}, number(killed_by_oom_));
  for (const auto& [name, count] : killers_)
    out.add({{"cause", "process"}, {"killer_unit", name}}, number(count));

  out.counter("knell_export_events_total", "Events that this exporter has counted.");
  out.add({}, number(received_));
  out.counter("knell_export_events_lost_total",
              "Events that this exporter did not receive, as far as their number is known.");
  out.add({}, number(lost_));
  out.counter("knell_export_losses_total",
              "Times that events were lost, also where their number is not known.");
  out.add({}, number(losses_));
  out.counter("knell_export_series_replaced_total",
              "Times that a name lost its series to a more frequent one.");
  out.add({},
          number(unit_names_.replaced() + container_names_.replaced() + killer_names_.replaced()));
}

}  // namespace knell::exporter
