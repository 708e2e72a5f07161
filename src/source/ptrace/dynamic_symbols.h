// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

namespace knell::source {

// Whether the ELF file `fd` names one of these symbols for its dynamic linker, because it defines
// or uses it. False for a statically linked program, and for a file of another byte order.
bool has_dynamic_symbol(int fd, std::span<const std::string_view> names);

}  // namespace knell::source
