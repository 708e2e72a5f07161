// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string>

namespace knell::fleet {

// The lines of `knell-fleet watch -o table`.
std::string table_header();
std::string table_line(const std::string& host, const knell_event& event);

}  // namespace knell::fleet
