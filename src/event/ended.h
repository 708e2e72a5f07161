// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string>

namespace knell::event {

// How a process ended, from its exit event: "exit 1", "SIGSEGV core", "SIGKILL oom", "unknown".
// Empty for other types.
void append_ended(std::string& out, const knell_event& event);
std::string ended_text(const knell_event& event);

}  // namespace knell::event
