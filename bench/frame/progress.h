// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace knell::bench {

// One line on standard error, on a terminal only, that says what is measured now and how long it
// will still take. Never written while something is measured: show() before, not during.
class Progress {
 public:
  Progress();
  void begin(size_t steps);  // of about equal length
  void show(std::string_view what);
  void step() { ++done_; }  // one is done
  void clear();             // takes the line away

 private:
  bool terminal_ = false;
  size_t steps_ = 0, done_ = 0;
  uint64_t begun_ns_ = 0;
};

}  // namespace knell::bench
