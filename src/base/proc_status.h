// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace knell {

// Bytes for read_proc_status(): the lines that knell uses are in the first 2 KiB.
inline constexpr size_t kProcStatusBytes = 4096;

// Reads /proc/PID/status, open as `fd`, into `text`, without the numbers of the line `Groups:`:
// they may take 700 KB, and the lines after it would not fit. Cuts what does not fit. Empty: the
// process has ended.
std::string_view read_proc_status(int fd, std::span<char> text);

}  // namespace knell
