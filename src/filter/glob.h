// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace knell::filter {

// Shell globs over bytes: `*` (slashes and leading dots too), `?` (one UTF-8 character), `[a-z]`,
// `[!a-z]`, `\` takes the next as it is. Ours and not fnmatch(3), which wants a NUL at the end,
// follows the program's locale and may allocate. Never more than length x length steps.
bool glob_matches(std::string_view pattern, std::string_view text);

// Whether anything in it is more than itself.
bool is_glob(std::string_view pattern);

}  // namespace knell::filter
