// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace knell::lib {

// The values of a predicate `uid` or `user` with numbers in place of names: "root,!www-data" to
// "0,!33". Asks the system's user database, which the daemon must not. Errors: EINVAL no such user.
Result<std::string> user_numbers(std::string_view key, std::string_view values);

}  // namespace knell::lib
