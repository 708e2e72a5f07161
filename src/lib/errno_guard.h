// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <exception>

namespace knell::lib {

// Guards a function of the C ABI. At the end it puts errno back, which the ABI promises to leave
// alone: what a function has to say it returns. No exception may leave a function that C calls:
// one that would (std::bad_alloc, there is no other) ends the program.
class ErrnoGuard {
 public:
  ErrnoGuard() = default;
  ErrnoGuard(const ErrnoGuard&) = delete;
  ErrnoGuard& operator=(const ErrnoGuard&) = delete;
  ~ErrnoGuard() {
    if (std::uncaught_exceptions() != exceptions_) std::terminate();
    errno = saved_;
  }

 private:
  const int saved_ = errno;
  const int exceptions_ = std::uncaught_exceptions();
};

}  // namespace knell::lib
