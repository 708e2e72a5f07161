// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "cli/failure.h"
#include "cli/output.h"

namespace knell::cli {

// Writes an Output in a thread, so that a reader who does not read holds up nothing else. One
// batch at a time: while it is being written, more is gathered elsewhere.
class BackgroundWriter {
 public:
  static Outcome<std::unique_ptr<BackgroundWriter>> create(int fd, std::string name);
  BackgroundWriter(const BackgroundWriter&) = delete;
  BackgroundWriter& operator=(const BackgroundWriter&) = delete;
  // A write that waits for its reader is left to its fate.
  ~BackgroundWriter();

  bool busy() const { return busy_; }
  // Takes all of `text`, which is empty then. Not while busy().
  void write(std::string& text);
  // POLLIN: finish() has a result.
  int fd() const;
  // Of the last write(); nullopt: not finished yet.
  std::optional<Outcome<Output::Reader>> finish();

 private:
  struct Shared;
  explicit BackgroundWriter(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  std::shared_ptr<Shared> shared_;  // with the thread, which may outlive us
  bool busy_ = false;
};

}  // namespace knell::cli
