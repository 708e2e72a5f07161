// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "failing_malloc.h"

#include <cerrno>

// The names by which the C library keeps its own functions available to programs that replace them.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* old, size_t bytes);
}

namespace {

struct State {
  bool on = false, all = false, failed = false;
  size_t left = 0;
};
constinit thread_local State state;

bool fails() {
  if (!state.on) return false;
  if (state.left > 0 && --state.left > 0) return false;
  if (state.failed && !state.all) return false;
  state.failed = true;
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {
void* malloc(size_t bytes) { return fails() ? nullptr : __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) { return fails() ? nullptr : __libc_calloc(count, bytes); }
void* realloc(void* old, size_t bytes) { return fails() ? nullptr : __libc_realloc(old, bytes); }
}

namespace knell::test {

FailingMalloc::FailingMalloc(size_t nth, Fails fails) {
  state = {.on = true, .all = fails == Fails::kAllFrom, .failed = false, .left = nth};
}

FailingMalloc::~FailingMalloc() { state.on = false; }

bool FailingMalloc::stop() {
  state.on = false;
  return state.failed;
}

}  // namespace knell::test
