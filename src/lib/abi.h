// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What every function of the C ABI needs: how it returns errors and text, and what it does without
// memory.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knell::lib {

// The texts of the calling thread: of its last error, and one that functions may use. nullptr:
// there is no memory for them.
struct ThreadTexts {
  std::string error = "no error", scratch;
};
ThreadTexts* thread_texts() noexcept;

// A text that is empty, and keeps its capacity between calls, so that formatting a stream of events
// does not allocate.
std::string& scratch();

// Stores the text of the error, which knell_explain() returns, and returns the negative errno.
int store_error(const Error& error);
// Does so for ENOMEM, and allocates nothing.
int store_out_of_memory() noexcept;

// The negative errno of a failure, or 0.
template <class T>
int outcome(const Result<T>& result) {
  return result ? 0 : store_error(result.error());
}

// Runs `body`, the whole of a function of the C ABI, which returns 0, a count or a negative errno.
// errno does not change, since functions return their errors. If memory runs out, the function
// returns -ENOMEM: that is the only exception in the library, and C callers cannot handle it.
template <class F>
auto guarded(F body) noexcept -> decltype(body()) {
  struct KeepErrno {
    int saved = errno;
    ~KeepErrno() { errno = saved; }
  } keep_errno;
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return store_out_of_memory();
  }
}

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
