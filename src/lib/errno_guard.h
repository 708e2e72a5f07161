// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <exception>

namespace knell::lib {

// Guards a function of the C ABI. Its destructor restores errno, which the ABI must not change:
// functions return their errors. It also terminates the program if an exception would leave the
// function, because C callers cannot handle it. The only possible one is std::bad_alloc.
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
