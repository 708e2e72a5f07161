// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>

namespace knell::lib {

// Puts errno back at the end of a function of the C ABI, which promises to leave it alone: what it
// has to say it returns.
class ErrnoGuard {
 public:
  ErrnoGuard() = default;
  ErrnoGuard(const ErrnoGuard&) = delete;
  ErrnoGuard& operator=(const ErrnoGuard&) = delete;
  ~ErrnoGuard() { errno = saved_; }

 private:
  const int saved_ = errno;
};

}  // namespace knell::lib
