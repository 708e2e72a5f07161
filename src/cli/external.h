// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/failure.h"

namespace knell::cli {

// A command that is a program of its own, with a package of its own: `knell NAME` executes
// `knell-NAME`. The package has the name of the program.
struct ExternalCommand {
  std::string_view name;
  std::string_view program;
  std::string_view summary;  // one line
};

std::span<const ExternalCommand> external_commands();

// Executes the program with `words` as its arguments; returns only on failure. It is looked for
// beside the executable `self`, where a build and a package have it, then in PATH. Errors: kFailed,
// with the package to install if the program is in neither place.
Outcome<int> execute_external(const ExternalCommand& command, const std::string& self,
                              std::vector<std::string> words);

}  // namespace knell::cli
