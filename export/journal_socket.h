// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "base/unique_fd.h"

namespace knell::exporter {

// The socket of journald, in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). Not
// sd_journal_sendv(3): that drops entries without an error when there is no journald, and waits
// without limit for a journald that is busy, so that this process could not be stopped. Not
// thread-safe.
class JournalSocket {
 public:
  static constexpr const char* kPath = "/run/systemd/journal/socket";

  explicit JournalSocket(std::string path = kPath) : path_(std::move(path)) {}

  // Sends one entry of "NAME=value" fields without newlines; connects if it is not connected.
  // Returns 0 or a negative errno: -EAGAIN journald is busy, -ENOENT and -ECONNREFUSED it does not
  // run.
  int send(std::span<const std::string> fields);
  int connect();

 private:
  std::string path_;
  UniqueFd fd_;
};

}  // namespace knell::exporter
