// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A C++20 program of a user of the library, with the installed files.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <knell/knell.hpp>
#include <system_error>

int main() {
  if (knell::events_text(0x2) != "exec") return 1;
  knell::Options options;
  options.via = KNELL_VIA_PROC;
  std::error_code error;
  if (knell::Listener listener = knell::Listener::open(options, error); listener || !error)
    return 2;

  const pid_t child = ::fork();
  if (child == 0) ::_exit(7);
  const auto event = knell::wait(child, std::chrono::seconds(60), error);
  if (!event || error || knell::ended(*event) != "exit 7") return 3;
  ::waitpid(child, nullptr, 0);
  if (knell::wait(::getpid(), std::chrono::nanoseconds(0), error) || !error) return 4;

  ::setenv("KNELL_SOCKET", "", 1);
  if (!knell::status(error).empty() || error != std::errc::no_such_file_or_directory) return 5;
  if (knell::doctor(error).empty()) return 6;
  std::printf("C++20: libknell %s: %s\n", knell_version(), knell_explain());
}
