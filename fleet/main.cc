// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <clocale>

#include "fleet/command.h"

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  ::signal(SIGPIPE, SIG_IGN);  // NOLINT(bugprone-signal-handler): a write then returns EPIPE
  return knell::fleet::run_fleet(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
