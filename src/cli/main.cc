// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>

#include <clocale>
#include <string>
#include <vector>

#include "cli/command.h"

namespace {

// If a standard descriptor is closed, the next descriptor that knell opens takes its number and
// receives the output. Standard output is opened read-only on purpose: output to a closed standard
// output must still be an error.
void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    (void)::open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);  // kept for CMD too: no O_CLOEXEC
  }
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_descriptors();
  std::setlocale(LC_CTYPE, "C.UTF-8");
  return knell::cli::run_knell(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
