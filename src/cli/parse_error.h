// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/command_line.h"

namespace knell::cli {

// One line: what is wrong on the command line, and what the user probably meant.
std::string describe_error(const CommandLine& line, const CommandLine::Error& error);

}  // namespace knell::cli
