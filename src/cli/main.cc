// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>

#include <clocale>
#include <string>
#include <vector>

#include "cli/command.h"

namespace {

// Were one of the three closed, the next descriptor we open would take its place and get our
// messages. Standard output is made read-only on purpose: whoever closed it still gets an error for
// what cannot be written.
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
