// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/frame.h"
#include "wire/protocol.h"

namespace knell::client {

inline constexpr const char* kSocket = "/run/knell/knell.sock";

// Where the daemon is to be found: $KNELL_SOCKET, or kSocket. Empty: nowhere, by the user's wish.
std::string socket_path();

// A connection to knelld from one of its clients. Never blocks, but in the functions that wait for
// an answer: those give up in words after some seconds, so that a daemon that hangs is an error.
// Believes only frames that parse; descriptors that are sent along are closed unseen. Not
// thread-safe.
//
// Errors of all: ECONNRESET the daemon went away; EBADMSG it sends what is no frame, or it said bye
// and why (then the errno that it gave); ETIMEDOUT it does not answer.
class ConnectionToServer {
 public:
  using Patience = std::chrono::milliseconds;
  static constexpr Patience kPatience{5000};  // picked: nobody wants to wait longer for a daemon

  // `patience` 0: never waits; EAGAIN when the daemon's backlog is full. Errors: ENOENT,
  // ECONNREFUSED and others of connect(2), in words.
  static Result<ConnectionToServer> connect(const std::string& path, Patience patience = kPatience);
  // Connected already.
  explicit ConnectionToServer(UniqueFd socket) : socket_(std::move(socket)) {}

  int fd() const { return socket_.get(); }  // POLLIN: receive(); POLLOUT: there is room
  uint32_t next_seq() { return seq_++; }
  void set_patience_for_testing(Patience patience) { patience_ = patience; }

  enum class Sent { kYes, kNoRoom };
  Result<Sent> try_send(std::string_view packet);
  // One frame into `buffer`, of kMostFrame bytes, and points into it; nullopt: there is none now.
  // A bye is an error.
  Result<std::optional<wire::Frame>> receive(std::span<char> buffer);

  // Those that wait. Of each frame that is not what they wait for, `on_other` is told.
  using OnFrame = std::function<void(const wire::Frame&)>;
  Result<void> send(std::string_view packet);
  Result<wire::ServerHello> greet();
  // The ack of the request with this number, also when it refuses.
  Result<wire::Ack> await_ack(uint32_t request, const OnFrame& on_other);
  Result<std::string> status();  // JSON

 private:
  Result<wire::Frame> await_frame(uint64_t deadline_ns);
  Result<void> await(short events, uint64_t deadline_ns);
  uint64_t deadline_ns() const;

  UniqueFd socket_;
  Patience patience_ = kPatience;
  std::vector<char> buffer_;  // of those that wait
  uint32_t seq_ = 0;
};

// An ack as a result; an error is in the daemon's words.
Result<void> as_result(const wire::Ack& ack);

}  // namespace knell::client
