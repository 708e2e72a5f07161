// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "fleet/connection.h"

namespace knell::fleet {

// Reads the messages of a stream in order. The server's consumer is temporary and may end at any
// time, with the server or when the connection is slow: then a new one continues after the last
// message that was read. After a restart of the server, whose stream may have gone back, it goes
// back a few seconds too, so that messages may come twice. One thread.
class StreamReader {
 public:
  enum class From { kNow, kOldest };
  // Errors: ENOENT: no such stream; ETIMEDOUT; EACCES.
  static Result<std::unique_ptr<StreamReader>> create(Connection& connection,
                                                      const std::string& stream,
                                                      const std::string& subjects, From from);
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;
  ~StreamReader();

  // Waits for the next message; nullopt: there was none for `timeout`. Losing the server is no
  // error.
  std::optional<Message> next(std::chrono::milliseconds timeout);
  // Whether all messages have been read that the stream had when the last one was sent, and, with
  // kOldest, when this reader was created: the server of a cluster that sends them may be behind.
  bool at_end() const { return pending_ == 0 && next_seq_ > end_seq_; }

 private:
  struct Subscription;
  StreamReader(Connection& connection, std::string stream, std::string subjects);
  Result<void> subscribe();

  Connection& connection_;
  std::string stream_, subjects_;
  std::unique_ptr<Subscription> subscription_;  // null: none now
  uint64_t interruptions_ = 0;
  uint64_t next_seq_ = 1, end_seq_ = 0;
  int64_t begin_time_ns_ = 1;  // no message is of interest that was stored before
  int64_t last_time_ns_ = 0;   // of the stream's clock
  uint64_t consumer_seq_ = 0;  // of the last message of this consumer
  uint64_t pending_ = 0;
};

}  // namespace knell::fleet
