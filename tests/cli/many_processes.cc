// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// many_processes COUNT [BARS]: writes the page of a build of COUNT processes, eight at a time, to
// standard output, as `knell timeline` would.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "cli/timeline/history_for_test.h"
#include "cli/timeline_output.h"

int main(int argc, char** argv) {
  using namespace knell::cli;
  constexpr uint64_t kUs = 1000;
  constexpr pid_t kAtOnce = 8;
  const pid_t count = argc > 1 ? std::atoi(argv[1]) : 0;
  const size_t bars = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 0;
  HistoryForTest test;
  test.start(1, 0).exec(1, 1, "make", std::string("make\0", 5));
  uint64_t at = kUs;
  for (pid_t i = 0; i < count; i += kAtOnce) {
    const pid_t jobs = std::min(kAtOnce, count - i);
    for (pid_t job = 0; job < jobs; ++job) {
      const pid_t pid = 2 + i + job;
      test.fork(1, pid, at)
          .exec(pid, at + 1, "cc", std::string("cc\0-c\0", 6) + std::to_string(pid) + '\0');
    }
    const auto length = static_cast<uint64_t>(1 + i % 97) * 50 * kUs;
    for (pid_t job = 0; job < jobs; ++job) {
      const pid_t pid = 2 + i + job;
      test.exit(pid, at + length + static_cast<uint64_t>(job) * kUs, pid % 100'003 == 0 ? 256 : 0);
    }
    at += length + kAtOnce * kUs;
  }
  test.exit(1, at, 0).finish();
  const Timeline timeline(test.history, "make", "");
  return write_timeline(timeline, Format::kHtml, bars, STDOUT_FILENO, "") ? 0 : 1;
}
