// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/failure.h"

namespace knell::cli {

// The path of knelld's socket: $KNELL_SOCKET or the default. Empty: the user wants no daemon.
std::string daemon_socket();

// Checks that knelld answers on the socket `path` and accepts this user: exchanges hellos. Errors:
// kNothingHere, with a line that says how to fix it and ends with `instead`; kFailed: no socket
// could be made.
Outcome<void> check_daemon(const std::string& path, const std::string& instead);

// For after a function of the library failed with -ENOENT or -ECONNREFUSED because there is no
// knelld: the text of its error, with how to start knelld.
std::string explain_no_daemon();

// The status of knelld as JSON. Errors: kNothingHere: there is no daemon, with a line that says how
// to start it.
Outcome<std::string> ask_status();

}  // namespace knell::cli
