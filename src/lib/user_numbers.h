// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace knell::lib {

// The number of a user by what was written for a predicate `uid` or `user`: a name or a number.
// `user` takes a name that consists of digits for a name, `uid` for a number. Asks the system's
// user database, which may take its time: the one place that does for a predicate. Errors: EINVAL
// no such user.
Result<int64_t> user_number(std::string_view key, std::string_view word);

}  // namespace knell::lib
