// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What every function of the C ABI needs: how it returns errors and text.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <string>
#include <string_view>

#include "base/result.h"

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

// The text of the calling thread's last error; knell_explain() returns it.
std::string& last_error();

// Stores the text of the error in last_error(), and returns the negative errno for the C ABI.
int store_error(const Error& error);

// Like snprintf: copies as much of `text` as fits, adds a NUL, and returns the full length.
inline ssize_t copy_to_buffer(std::string_view text, char* buffer, size_t size) {
  if (buffer != nullptr && size > 0) {
    const size_t n = std::min(text.size(), size - 1);
    std::copy_n(text.begin(), n, buffer);
    buffer[n] = '\0';
  }
  return static_cast<ssize_t>(text.size());
}

}  // namespace knell::lib
