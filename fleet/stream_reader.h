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

// Reads the messages of a stream in order. The consumer on the server is temporary. It may end at
// any time, with the server or when the connection is slow; then a new one continues after the last
// message that was read. After a restart of the server, whose stream may have gone back in time,
// the new consumer starts a few seconds earlier, so messages may be read twice. For one thread.
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

  // Waits for the next message; nullopt: there was none for `timeout`. A lost connection is not an
  // error.
  std::optional<Message> next(std::chrono::milliseconds timeout);
  // Whether all messages have been read that the stream had when the last one was sent, and, with
  // kOldest, when this reader was created (the server of a cluster that sends the messages may be
  // behind).
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
  int64_t begin_time_ns_ = 1;  // messages that were stored before are skipped
  int64_t last_time_ns_ = 0;   // by the clock of the server that has the stream
  uint64_t consumer_seq_ = 0;  // of the last message of this consumer
  uint64_t pending_ = 0;
};

}  // namespace knell::fleet
