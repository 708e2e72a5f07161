// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/top/top_model.h"
#include "cli/top/top_view.h"

namespace knell::cli {

// A process that is alive: what its descendants need to know.
struct LiveProcess {
  std::string comm;
  knell_id parent{};
};
// nullopt: no process with this id is alive here.
using FindLive = std::function<std::optional<LiveProcess>(const knell_id&)>;
// Looks in /proc.
std::optional<LiveProcess> find_in_proc(const knell_id& id);

// Everything known of one death. The ancestors are found among the deaths that the model keeps, and
// among the processes that are alive.
std::vector<PageLine> death_page(const TopModel& model, const knell_event& exit,
                                 const FindLive& find_live);

}  // namespace knell::cli
