// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A stranger's C++20 program, from what was installed.
#include <cstdio>
#include <knell/knell.hpp>
#include <system_error>

int main() {
  if (knell::events_text(0x2) != "exec") return 1;
  knell::Options options;
  options.via = KNELL_VIA_PROC;
  std::error_code error;
  if (knell::Listener listener = knell::Listener::open(options, error); listener || !error)
    return 2;
  std::printf("C++20: libknell %s: %s\n", knell_version(), knell_explain());
}
