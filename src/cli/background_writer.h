// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "cli/failure.h"
#include "cli/output_buffer.h"

namespace knell::cli {

// Writes an OutputBuffer in a thread of its own, so that a slow reader of the output delays nothing
// else. One batch at a time: the caller gathers the next batch while this one is being written. Not
// thread-safe: one thread calls it.
class BackgroundWriter {
 public:
  // Writes to a duplicate of `fd`, which the caller may close at any time.
  static Outcome<std::unique_ptr<BackgroundWriter>> create(int fd, std::string name);
  BackgroundWriter(const BackgroundWriter&) = delete;
  BackgroundWriter& operator=(const BackgroundWriter&) = delete;
  // Does not wait: a write that is blocked continues in its thread, and its result is dropped.
  ~BackgroundWriter();

  bool busy() const { return busy_; }
  // Takes all of `text` and leaves it empty. Must not be called while busy().
  void write(std::string& text);
  // POLLIN: finish() returns a result.
  int fd() const;
  // The result of the last write(); nullopt: it is not finished.
  std::optional<Outcome<OutputBuffer::Reader>> finish();

 private:
  struct Shared;
  explicit BackgroundWriter(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  std::shared_ptr<Shared> shared_;  // shared with the thread, which may outlive this object
  bool busy_ = false;
};

}  // namespace knell::cli
