// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/thread_of.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace knell {

std::optional<pid_t> process_of_thread(pid_t id) {
  const UniqueFd fd(
      ::open(("/proc/" + std::to_string(id) + "/status").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> buffer;  // Tgid is the fourth line
  const ssize_t n = fd ? ::read(fd.get(), buffer.data(), buffer.size()) : -1;
  if (n <= 0) return std::nullopt;
  const std::string_view text(buffer.data(), static_cast<size_t>(n));
  constexpr std::string_view kKey = "\nTgid:\t";
  const size_t at = text.find(kKey);
  if (at == std::string_view::npos) return std::nullopt;
  pid_t process = 0;
  std::from_chars(text.data() + at + kKey.size(), text.data() + text.size(), process);
  if (process <= 0 || process == id) return std::nullopt;
  return process;
}

}  // namespace knell
