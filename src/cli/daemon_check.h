// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/failure.h"

namespace knell::cli {

// The path of knelld's socket: $KNELL_SOCKET or the default. Empty: the user has disabled the
// daemon.
std::string daemon_socket();

// Checks that knelld answers on the socket `path` and accepts this user, by an exchange of hellos.
// Errors: kNothingHere, with a message that says how to fix it and ends with `instead`; kFailed:
// the socket could not be created.
Outcome<void> check_daemon(const std::string& path, const std::string& instead);

// Call when a function of the library has failed with -ENOENT or -ECONNREFUSED because there is no
// knelld. Returns the message of the error, with the way to start knelld.
std::string explain_no_daemon();

// The status of knelld as JSON. Errors: kNothingHere: there is no daemon; the message says how to
// start it.
Outcome<std::string> ask_status();

}  // namespace knell::cli
