// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <chrono>
#include <string>

#include "cli/failure.h"

namespace knell::cli {

// Appends the event as one JSON object and a newline.
void append_json_line(std::string& out, const knell_event& event);

// Lines for a descriptor: gathered, and written with one write(2) a batch.
class OutputBuffer {
 public:
  enum class Reader { kOpen, kClosed };  // kClosed: the pipe was closed; no error

  // `name` is for messages: "standard output".
  OutputBuffer(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  int fd() const { return fd_; }
  std::string& buffer() { return buffer_; }
  // Writes all that was gathered. Once Signals::ending(), it fails after a second in which the
  // reader takes nothing.
  Outcome<Reader> flush();

 private:
  int fd_;
  std::string name_;
  std::string buffer_;
};

// Waits until `fd` can be written. False: Signals::ending(), and `fd` could not be written for a
// second from `since` on.
bool wait_for_room(int fd, std::chrono::steady_clock::time_point since);

}  // namespace knell::cli
