// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/failure.h"

namespace knell::cli {

// Where the daemon is to be found: $KNELL_SOCKET or the default. Empty: nowhere, by the user's
// wish.
std::string daemon_socket();

// Whether knelld answers there, to us: says hello and waits for its. Errors: kNothingHere, with
// what would help; `instead` ends the line.
Outcome<void> check_daemon(const std::string& path, const std::string& instead);

}  // namespace knell::cli
