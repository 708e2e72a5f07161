// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string>

namespace knell::fleet {

// The lines of `-o table`.
std::string table_header();
std::string day_text(int64_t time_ns);  // the local day of CLOCK_REALTIME ns: "2026-11-23"
std::string table_line(const std::string& host, const knell_event& event);

}  // namespace knell::fleet
