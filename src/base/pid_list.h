// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"

namespace knell {

// The pids in a directory like /proc, in no order. They are read from the kernel a few dozen at a
// time, as next() is called: reading all at once takes long where there are many processes.
class PidList {
 public:
  PidList();  // reads /proc
  explicit PidList(UniqueFd folder) : folder_(std::move(folder)) {}

  // Returns the next pid; 0: there are no more pids, or the directory could not be read.
  int32_t next();
  bool failed() const { return failed_; }

 private:
  bool fill();

  UniqueFd folder_;
  bool failed_ = false;
  size_t at_ = 0, end_ = 0;
  alignas(8) std::array<char, 1024> buffer_{};  // chosen, not measured: about 40 entries
};

}  // namespace knell
