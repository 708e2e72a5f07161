// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace knell::cli {

// The path of the file that execvp() would execute for `name`. Errors: ENOENT not found, or an
// empty name; EACCES found, but not executable.
Result<std::string> find_program(const std::string& name);

}  // namespace knell::cli
