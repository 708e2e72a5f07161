// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/frame/contender.h"
#include "bench/frame/report.h"
#include "bench/frame/storm.h"

namespace knell::bench {

// Programs of others that tell of processes, each started the way its man page says and only for
// storms it can see. A rival may have several ways: exitsnoop with and without -x.
std::vector<std::string_view> rival_names();

// Those of `names` (empty: all) that see a storm of that kind and are installed. The others of
// `names` are named in the report as absent.
std::vector<std::unique_ptr<Contender>> make_rivals(StormKind kind,
                                                    const std::vector<std::string>& names,
                                                    Report& report);

// A line of a rival's, read: what it told of, or nothing. For tests.
std::optional<Arrival> parse_forkstat(std::string_view line);
std::optional<Arrival> parse_extrace(std::string_view line);
std::optional<Arrival> parse_exitsnoop(std::string_view line);
std::optional<Arrival> parse_execsnoop(std::string_view line);

}  // namespace knell::bench
