// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/failure.h"

namespace knell::cli {

// Gathers the bytes of a large file and writes them in large pieces.
class BufferedWriter {
 public:
  using Write = std::function<Outcome<void>(std::string_view)>;
  explicit BufferedWriter(Write write) : write_(std::move(write)) {}

  std::string& buffer() { return buffer_; }
  // To be called often: writes once much is gathered.
  Outcome<void> spill() {
    constexpr size_t kMuch = size_t{1} << 18;  // chosen, not measured
    return buffer_.size() < kMuch ? Outcome<void>() : finish();
  }
  Outcome<void> finish() {
    const auto written = write_(buffer_);
    buffer_.clear();
    return written;
  }

 private:
  Write write_;
  std::string buffer_;
};

}  // namespace knell::cli
