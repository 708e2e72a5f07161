// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace knell::lib {

// The uid for the value of a predicate `uid` or `user`: a user name or a number. If the value is
// all digits, `uid` takes it as a number; `user` first tries it as a name. May query the system's
// user database, which can be slow; no other code does so for a predicate. Errors: EINVAL no such
// user.
Result<int64_t> user_number(std::string_view key, std::string_view word);

}  // namespace knell::lib
