// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace knell::event {

// The name of a terminal in /dev, NUL-padded: "pts/3", "tty1", "ttyS0"; "MAJOR:MINOR" if its name
// does not follow from its number. `device`: tty_nr of /proc/PID/stat; 0 (no terminal): an empty
// name.
std::array<char, 16> tty_name(uint32_t device);

}  // namespace knell::event
