// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "bench/frame/time.h"

namespace knell::bench {
namespace {

std::string left_text(uint64_t ns) {
  const uint64_t seconds = ns / 1'000'000'000;
  return seconds < 60 ? fmt::format("{} s", seconds)
                      : fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
}

void write_out(const std::string& text) { (void)!::write(STDERR_FILENO, text.data(), text.size()); }

}  // namespace

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::begin(size_t steps) {
  steps_ = steps;
  done_ = 0;
  begun_ns_ = now_ns();
}

void Progress::show(std::string_view what) {
  if (!terminal_) return;
  std::string line = "\r\033[K";  // back to the left, the old line away
  if (steps_ != 0) line += fmt::format("{:3} %  ", done_ * 100 / steps_);
  line += what;
  // The first steps say little of the rest.
  if (done_ * 20 >= steps_ && done_ > 1 && steps_ >= done_)
    line += fmt::format("; about {} left",
                        left_text((now_ns() - begun_ns_) / done_ * (steps_ - done_)));
  write_out(line);
}

void Progress::clear() {
  if (terminal_) write_out("\r\033[K");
}

}  // namespace knell::bench
