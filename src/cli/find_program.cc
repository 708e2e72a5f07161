// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/find_program.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <knell/knell.hpp>
#include <string_view>

namespace knell::cli {
namespace {

bool executable(const std::string& path) {
  struct stat info{};
  return ::access(path.c_str(), X_OK) == 0 && ::stat(path.c_str(), &info) == 0 &&
         S_ISREG(info.st_mode);
}

}  // namespace

Result<std::string> find_program(const std::string& name) {
  const std::string shown = printable(name);
  if (name.empty()) return say(ENOENT, "the command must not be empty");
  if (name.find('/') != std::string::npos) {
    if (executable(name)) return name;
    if (::access(name.c_str(), F_OK) != 0) return say(ENOENT, shown + ": no such file");
    return say(EACCES, shown + ": not an executable file");
  }
  const char* variable = std::getenv("PATH");
  const std::string_view path =
      variable != nullptr ? variable : "/bin:/usr/bin";  // execvp()'s own default
  bool there = false;
  for (size_t at = 0; at <= path.size();) {
    const size_t colon = std::min(path.find(':', at), path.size());
    const std::string_view folder = path.substr(at, colon - at);
    std::string candidate = (folder.empty() ? "." : std::string(folder)) + "/" + name;
    if (executable(candidate)) return candidate;
    there = there || ::access(candidate.c_str(), F_OK) == 0;
    at = colon + 1;
  }
  return there ? say(EACCES, shown + ": found in PATH, but not executable")
               : say(ENOENT, shown + ": not found in PATH");
}

}  // namespace knell::cli
