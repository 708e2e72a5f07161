// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/proc_status.h"

#include <unistd.h>

#include <array>

namespace knell {
namespace {

constexpr std::string_view kSkipped = "Groups:";
// NGROUPS_MAX numbers of at most ten digits and a blank, and all other lines
constexpr size_t kMostRead = 65536 * 11 + 65536;

}  // namespace

std::string_view read_proc_status(int fd, std::span<char> text) {
  std::array<char, 4096> piece;
  size_t size = 0, line = 0;
  bool skips = false;
  for (size_t read = 0; size < text.size() && read < kMostRead;) {
    const ssize_t n = ::read(fd, piece.data(), piece.size());
    if (n <= 0) break;
    read += static_cast<size_t>(n);
    for (const char c : std::string_view(piece.data(), static_cast<size_t>(n))) {
      if (skips && c != '\n') continue;
      if (size == text.size()) break;
      skips = false;
      text[size++] = c;
      if (c == '\n') line = size;
      if (c == ':') skips = std::string_view(&text[line], size - line) == kSkipped;
    }
  }
  return {text.data(), size};
}

}  // namespace knell
