// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace knell::exporter {

// The whole program: parses the words and executes the command. Returns the exit status; a failure
// prints one line.
int run_export(std::vector<std::string> words);

}  // namespace knell::exporter
