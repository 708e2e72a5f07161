// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

namespace knell {

// Calls `undo` at the end of the scope, also when an exception leaves it, unless keep() was called.
// `undo` must not throw.
template <class F>
class Rollback {
 public:
  explicit Rollback(F undo) : undo_(std::move(undo)) {}
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() {
    if (!kept_) undo_();
  }
  // What was done is kept.
  void keep() { kept_ = true; }

 private:
  F undo_;
  bool kept_ = false;
};

}  // namespace knell
