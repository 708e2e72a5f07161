// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace knell::fleet {

// 32 random hexadecimal digits: a name for a process, a stream or a query that is unique in the
// fleet.
std::string random_name();

}  // namespace knell::fleet
