// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace knell::lib {

// The values of a predicate `uid` or `user` with numbers in place of names: "root,!www-data" to
// "0,!33". `user` takes a name that consists of digits for a name, `uid` for a number. Asks the
// system's user database, which may take its time: so this is the one place that does, in the
// program that typed the name, and predicates of every other layer hold numbers. Errors: EINVAL no
// such user.
Result<std::string> user_numbers(std::string_view key, std::string_view values);

}  // namespace knell::lib
