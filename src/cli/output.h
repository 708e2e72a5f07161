// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <chrono>
#include <string>

#include "cli/failure.h"

namespace knell::cli {

// One object and a newline.
void append_json_line(std::string& out, const knell_event& event);

// Lines on their way to a descriptor, gathered and written with one write(2) a batch.
class Output {
 public:
  enum class Reader { kThere, kGone };  // gone: the pipe was closed, which is no error

  // `name` is for messages: "standard output".
  Output(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  int fd() const { return fd_; }
  std::string& buffer() { return buffer_; }
  // Writes what was gathered, all of it. Once we are to end (Signals::over()), a reader that reads
  // nothing for a second ends it with a failure.
  Outcome<Reader> flush();

 private:
  int fd_;
  std::string name_;
  std::string buffer_;
};

// Waits for room to write. False: we are to end (Signals::over()), and there has been none since
// `since` for a second.
bool wait_for_room(int fd, std::chrono::steady_clock::time_point since);

}  // namespace knell::cli
