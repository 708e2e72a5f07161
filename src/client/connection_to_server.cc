// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "client/connection_to_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/clock.h"

namespace knell::client {
namespace {

constexpr size_t kMostStatus = size_t{64} << 20;  // far more than the status of any daemon

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return say(EINVAL, "the path of knelld's socket is empty or longer than " +
                           std::to_string(sizeof address.sun_path - 1) + " bytes: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

std::unexpected<Error> not_connected(int code, const std::string& path) {
  switch (code) {
    case ENOENT:
      return say(code, "knelld is not running: there is no " + path);
    case ECONNREFUSED:
      return say(code, "knelld is not running: no process listens on " + path);
    case EAGAIN:
      return say(code, "knelld does not answer on " + path + ": its queue of new clients is full");
    case EPROTOTYPE:
      return say(code, path + " is not the socket of knelld: it has another type");
    default:
      return make_error(code, "connect to knelld on " + path);
  }
}

std::unexpected<Error> went_away() { return say(ECONNRESET, "the connection to knelld was lost"); }

}  // namespace

std::string socket_path() {
  const char* given = std::getenv("KNELL_SOCKET");
  return given != nullptr ? given : kSocket;
}

Result<void> as_result(const wire::Ack& ack) {
  if (ack.error == 0) return {};
  if (ack.text.empty()) return make_error(ack.error, "make knelld accept the request");
  return say(ack.error, ack.text);
}

Result<ConnectionToServer> ConnectionToServer::connect(const std::string& path, Timeout timeout) {
  KNELL_ASSIGN(const sockaddr_un address, address_of(path));
  const int nonblocking = timeout.count() == 0 ? SOCK_NONBLOCK : 0;
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | nonblocking, 0));
  if (!socket) return errno_error("create a socket");
  // Limits the wait for room in the backlog. No effect after connect(2), when the socket is
  // non-blocking.
  const timeval most{.tv_sec = timeout.count() / 1000,
                     .tv_usec = static_cast<suseconds_t>(timeout.count() % 1000 * 1000)};
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return not_connected(errno, path);
  if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0) return errno_error("set up a socket");
  return ConnectionToServer(std::move(socket));
}

Result<ConnectionToServer::Sent> ConnectionToServer::try_send(std::string_view packet) {
  const ssize_t sent = ::send(fd(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return Sent::kYes;
  if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) return Sent::kNoRoom;
  if (errno == EPIPE || errno == ECONNRESET) return went_away();
  return errno_error("send to knelld");
}

Result<std::optional<wire::Frame>> ConnectionToServer::receive(std::span<char> buffer) {
  KNELL_CHECK(buffer.size() >= wire::kMostFrame);
  const auto take = [&] {
    return ::recv(fd(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
  };
  ssize_t got = take();
  // recv(2) returns ECONNRESET once if the daemon closed the socket without reading all packets of
  // the client; packets that the daemon sent before can still be received.
  if (got < 0 && errno == ECONNRESET) got = take();
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (got < 0 && errno != ECONNRESET) return errno_error("receive from knelld");
  if (got <= 0) return went_away();
  const auto bytes = static_cast<size_t>(got);
  if (bytes > buffer.size())
    return say(EBADMSG, "knelld sent a packet longer than the protocol allows");
  auto frame = wire::parse_packet({buffer.data(), bytes});
  if (!frame) return say(EBADMSG, "knelld: " + frame.error().message());
  if (frame->type != wire::Message::kBye) return *frame;
  KNELL_ASSIGN(const wire::Bye bye, wire::decode_bye(frame->payload));
  if (bye.error == 0) return went_away();
  return say(bye.error, "knelld closed the connection: " + bye.text);
}

uint64_t ConnectionToServer::deadline_ns() const {
  const std::chrono::nanoseconds timeout = timeout_;
  return system_clock().monotonic_ns() + static_cast<uint64_t>(timeout.count());
}

Result<void> ConnectionToServer::await(short events, uint64_t deadline_ns) {
  for (;;) {
    const uint64_t now = system_clock().monotonic_ns();
    const uint64_t left_ms = now < deadline_ns ? (deadline_ns - now) / 1'000'000 + 1 : 0;
    pollfd socket{.fd = fd(), .events = events, .revents = 0};
    const int ready = ::poll(&socket, 1, static_cast<int>(left_ms));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return errno_error("wait for knelld");
    if (left_ms == 0)
      return say(ETIMEDOUT, "knelld does not answer (waited " + std::to_string(timeout_.count()) +
                                " ms); its log may say why");
  }
}

Result<void> ConnectionToServer::send(std::string_view packet) {
  const uint64_t deadline = deadline_ns();
  for (;;) {
    KNELL_ASSIGN(const Sent sent, try_send(packet));
    if (sent == Sent::kYes) return {};
    KNELL_TRY(await(POLLOUT, deadline));
  }
}

Result<wire::Frame> ConnectionToServer::await_frame(uint64_t deadline_ns) {
  buffer_.resize(wire::kMostFrame);
  for (;;) {
    KNELL_ASSIGN(const auto frame, receive(buffer_));
    if (frame) return *frame;
    KNELL_TRY(await(POLLIN, deadline_ns));
  }
}

Result<wire::ServerHello> ConnectionToServer::exchange_hellos() {
  const uint64_t deadline = deadline_ns();
  const wire::ClientHello hello{
      .knell = KNELL_VERSION, .rule = {}, .overrun = false, .quiet = false};
  // If the daemon has already closed the connection, its last packet has the reason.
  const auto sent = send(wire::encode(hello, next_seq()));
  if (!sent && sent.error().code != ECONNRESET) return std::unexpected(sent.error());
  KNELL_ASSIGN(const wire::Frame frame, await_frame(deadline));
  if (frame.type != wire::Message::kHello)
    return say(EBADMSG, "knelld did not answer the HELLO message with its own");
  return wire::decode_server_hello(frame.payload);
}

Result<wire::Ack> ConnectionToServer::await_ack(uint32_t request, const OnFrame& on_other) {
  const uint64_t deadline = deadline_ns();
  for (;;) {
    KNELL_ASSIGN(const wire::Frame frame, await_frame(deadline));
    if (frame.type == wire::Message::kAck) {
      auto ack = wire::decode_ack(frame.payload);
      if (!ack || ack->request == request) return ack;
    }
    on_other(frame);
  }
}

Result<std::string> ConnectionToServer::status() {
  const uint32_t request = next_seq();
  KNELL_TRY(send(wire::encode_status_request(request)));
  std::string json;
  bool whole = true;
  const auto on_text = [&](const wire::Frame& frame) {
    if (frame.type != wire::Message::kStatusText) return;
    const auto piece = wire::decode_status_text(frame.payload);
    whole = whole && piece && json.size() + piece->size() <= kMostStatus;
    if (whole) json += *piece;
  };
  KNELL_ASSIGN(const wire::Ack ack, await_ack(request, on_text));
  KNELL_TRY(as_result(ack));
  if (!whole) return say(EBADMSG, "knelld's status is malformed or too long");
  return json;
}

Result<ConnectionToServer::Snapshot> ConnectionToServer::snapshot(const OnFrame& on_other) {
  const uint32_t request = next_seq();
  KNELL_TRY(send(wire::encode_snapshot_request(request)));
  Snapshot answer;
  size_t bytes = 0;
  for (uint64_t deadline = deadline_ns();;) {
    KNELL_ASSIGN(const wire::Frame frame, await_frame(deadline));
    if (frame.type == wire::Message::kProcesses) {
      deadline = deadline_ns();
      bytes += frame.payload.size();
      if (bytes <= kMostSnapshot) answer.payloads.emplace_back(frame.payload);
    } else if (frame.type == wire::Message::kAck) {
      KNELL_ASSIGN(answer.ack, wire::decode_ack(frame.payload));
      if (answer.ack.request == request) break;
      on_other(frame);
    } else {
      on_other(frame);
    }
  }
  if (bytes > kMostSnapshot && answer.ack.error == 0) {
    answer.ack.error = EMSGSIZE;
    answer.ack.text =
        "knelld's list of processes is longer than " + std::to_string(kMostSnapshot >> 20) + " MiB";
  }
  return answer;
}

}  // namespace knell::client
