// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "export/ending.h"
#include "export/families.h"
#include "export/top_names.h"

namespace knell::exporter {

// Counts exits for Prometheus. Each exit is counted in exactly one series of a metric, and a series
// never decreases: when a unit loses its place, its series end, and `_other` goes on as before. The
// number of series is bounded: most_series(). Not thread-safe.
class ExitMetrics {
 public:
  struct Options {
    size_t places = 50;              // units, containers and killers with series of their own, each
    std::vector<std::string> units;  // these have series from the start; `.service` may lack
    bool containers = false;         // count failures by container, too
  };
  ExitMetrics(const Options& options, TopNames::Time now);

  void count(const knell_event& event, TopNames::Time now);
  void collect(Families& out) const;

  // The most series that collect() can return.
  static constexpr size_t most_series(size_t places, size_t configured) {
    const size_t units = places + configured + 1;
    const size_t failures = kEndings.size() - 1;
    return kEndings.size() + units * (failures + 2) + (units + 2) + (places + 1) * failures + 4;
  }

 private:
  using ByEnding = std::array<uint64_t, kEndings.size()>;
  struct Unit {
    ByEnding failures{};
    uint64_t oom_kills = 0, top_level = 0;
  };
  template <class T>
  using Rows = std::map<std::string, T, std::less<>>;

  void count_unit(const knell_event& exit, Ending ending, TopNames::Time now);
  void count_container(const knell_event& exit, Ending ending, TopNames::Time now);
  void count_killer(const knell_event& exit, TopNames::Time now);

  const bool by_container_;
  TopNames unit_names_, container_names_, killer_names_;
  ByEnding exits_{};
  Rows<Unit> units_;
  Rows<ByEnding> containers_;
  Rows<uint64_t> killers_;  // by the unit of the killer: kills by processes
  uint64_t killed_by_kernel_ = 0, killed_by_oom_ = 0;
  uint64_t lost_ = 0, losses_ = 0, received_ = 0;
};

}  // namespace knell::exporter
