// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <string_view>

namespace knell::lib {

// Like snprintf: copies as much of `text` as fits, adds a NUL, and returns the full length.
inline ssize_t copy_to_buffer(std::string_view text, char* buffer, size_t size) {
  if (buffer != nullptr && size > 0) {
    const size_t n = std::min(text.size(), size - 1);
    std::copy_n(text.begin(), n, buffer);
    buffer[n] = '\0';
  }
  return static_cast<ssize_t>(text.size());
}

}  // namespace knell::lib
