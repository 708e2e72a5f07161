// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "cli/failure.h"
#include "cli/timeline/timeline.h"

namespace knell::cli {

// The format that the name of a file ends with: .html, .svg, .pftrace.
Outcome<Format> timeline_format_of(const std::string& path);

// Writes a picture to `fd`; `name` is for messages. A reader that closes the pipe is no error.
Outcome<void> write_timeline(const Timeline& timeline, Format format, size_t bars, int fd,
                             std::string name);

// The file of `knell run --timeline`, and the processes that will be in it.
class TimelineFile {
 public:
  // Creates or truncates the file, so that an error is reported before `command` is run.
  static Outcome<TimelineFile> create(const std::string& path,
                                      const std::vector<std::string>& command);

  ProcessHistory& history() { return history_; }
  // To be called once, with a finished history.
  Outcome<void> write(std::string origin);

 private:
  TimelineFile(std::string path, std::string title, Format format, UniqueFd fd)
      : path_(std::move(path)), title_(std::move(title)), format_(format), fd_(std::move(fd)) {}

  std::string path_, title_;
  Format format_;
  UniqueFd fd_;
  ProcessHistory history_;
};

}  // namespace knell::cli
