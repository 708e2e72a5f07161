// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace knell::fleet {

// 32 random hexadecimal digits, to name a process, a stream or a query among those of a fleet.
std::string random_name();

}  // namespace knell::fleet
