// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace knell::cli {

// The path that execvp() would try for `name`. Errors, as sentences: ENOENT not found; EACCES
// found, but not to be executed.
Result<std::string> find_program(const std::string& name);

}  // namespace knell::cli
