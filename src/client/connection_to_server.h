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

// The path of knelld's socket: $KNELL_SOCKET, or kSocket. Empty: the user wants no daemon.
std::string socket_path();

// A connection from a client to knelld. Does not block, except in connect() and in the functions
// that wait for an answer; those fail after some seconds, so that a daemon that hangs is an error.
// Accepts only frames that parse; descriptors sent along with a packet are closed. Not thread-safe.
//
// Errors of all functions: ECONNRESET the daemon went away; EBADMSG it sent a malformed frame;
// ETIMEDOUT it does not answer. A BYE message of the daemon is an error with the errno and text
// that it carries, or ECONNRESET without an errno.
class ConnectionToServer {
 public:
  using Timeout = std::chrono::milliseconds;
  static constexpr Timeout kTimeout{5000};  // chosen, not measured: a longer wait is of little use

  // Waits at most `timeout` for room in the daemon's backlog; 0: does not wait. Errors: EAGAIN the
  // backlog is full; ENOENT, ECONNREFUSED and others of connect(2); EINVAL the path is empty or too
  // long.
  static Result<ConnectionToServer> connect(const std::string& path, Timeout timeout = kTimeout);
  // Takes ownership of a connected socket.
  explicit ConnectionToServer(UniqueFd socket) : socket_(std::move(socket)) {}

  int fd() const { return socket_.get(); }  // POLLIN: receive(); POLLOUT: room for try_send()
  uint32_t next_seq() { return seq_++; }
  void set_timeout_for_testing(Timeout timeout) { timeout_ = timeout; }

  enum class Sent { kYes, kNoRoom };
  Result<Sent> try_send(std::string_view packet);
  // Receives one frame into `buffer`, of at least kMostFrame bytes; the frame points into it.
  // nullopt: no frame has arrived. A BYE message is an error.
  Result<std::optional<wire::Frame>> receive(std::span<char> buffer);

  // These functions wait for the daemon. await_ack() passes each other frame to `on_other`; the
  // frame's payload is valid during that call.
  using OnFrame = std::function<void(const wire::Frame&)>;
  Result<void> send(std::string_view packet);
  Result<wire::ServerHello> exchange_hellos();
  // Returns the ack of the request with this number, whether it accepts or refuses the request.
  Result<wire::Ack> await_ack(uint32_t request, const OnFrame& on_other);
  Result<std::string> status();  // JSON
  // The living processes that match the subscription: the payloads of kProcesses, for
  // wire::EventReader. Waits as long as kProcesses frames arrive. The ack has EMSGSIZE if the
  // answer is longer than kMostSnapshot; a daemon that cannot list processes answers EOPNOTSUPP.
  struct Snapshot {
    wire::Ack ack;
    std::vector<std::string> payloads;
  };
  static constexpr size_t kMostSnapshot = size_t{256}
                                          << 20;  // chosen, not measured: half a million processes
  Result<Snapshot> snapshot(const OnFrame& on_other);

 private:
  Result<wire::Frame> await_frame(uint64_t deadline_ns);
  Result<void> await(short events, uint64_t deadline_ns);
  uint64_t deadline_ns() const;

  UniqueFd socket_;
  Timeout timeout_ = kTimeout;
  std::vector<char> buffer_;  // receive buffer of the functions that wait
  uint32_t seq_ = 0;
};

// An ack as a result; a refusal is an error with the daemon's errno and text.
Result<void> as_result(const wire::Ack& ack);

}  // namespace knell::client
