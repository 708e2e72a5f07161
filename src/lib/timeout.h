// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ctime>
#include <optional>

#include "base/result.h"

namespace knell::lib {

// The timeout of a function that waits, from its start on. Allocates nothing but the text of an
// error.
class Timeout {
 public:
  // nullptr: no limit. Errors: EINVAL.
  static Result<Timeout> create(const timespec* given);
  // The time that is left, for poll(2): -1: no limit; 0: it has passed. Rounded up, to avoid a busy
  // loop in the last millisecond.
  int left_ms() const;

 private:
  std::optional<uint64_t> deadline_ns_;
};

}  // namespace knell::lib
