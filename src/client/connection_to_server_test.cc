// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "client/connection_to_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace knell::client {
namespace {

using wire::Message;

// Both ends of a connection in one thread: a test sends the server's answer before the client sends
// its request.
struct Pair {
  Pair() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    client.emplace(UniqueFd(ends[0]));
    server = UniqueFd(ends[1]);
  }
  void answer(std::string_view packet) {
    ASSERT_EQ(::send(server.get(), packet.data(), packet.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(packet.size()));
  }
  std::string asked() {
    std::string bytes(wire::kMostFrame, '\0');
    const ssize_t got = ::recv(server.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }
  std::optional<ConnectionToServer> client;
  UniqueFd server;
};

std::string ack(uint32_t request, int32_t error = 0, std::string text = {}) {
  return wire::encode(wire::Ack{.error = error, .request = request, .text = std::move(text)}, 0);
}

void ignore(const wire::Frame&) {}

TEST(ConnectionToServer, ExchangesHellos) {
  Pair pair;
  wire::ServerHello hello;
  hello.origin.knell = "9.9";
  pair.answer(wire::encode(hello, 0));
  const auto greeted = pair.client->exchange_hellos();
  ASSERT_TRUE(greeted) << greeted.error().message();
  EXPECT_EQ(greeted->origin.knell, "9.9");
  const std::string asked = pair.asked();
  const auto frame = wire::parse_packet(asked);
  ASSERT_TRUE(frame);
  const auto said = wire::decode_client_hello(frame->payload);
  ASSERT_TRUE(said);
  EXPECT_EQ(said->knell, KNELL_VERSION);
}

TEST(ConnectionToServer, AwaitAckSkipsOtherAcksAndEvents) {
  Pair pair;
  std::string events;
  wire::FrameWriter(events, Message::kEvents, 0).finish();
  pair.answer(events);
  pair.answer(ack(6));
  pair.answer(events);
  pair.answer(ack(7));
  size_t others = 0;
  EXPECT_TRUE(pair.client->await_ack(
      7, [&](const wire::Frame& frame) { others += frame.type == Message::kEvents; }));
  EXPECT_EQ(others, 2u);
}

TEST(ConnectionToServer, ARefusalHasTheErrnoAndTextOfTheServer) {
  Pair pair;
  pair.answer(ack(1, EINVAL, "unit: a value is missing"));
  const auto refusal = pair.client->await_ack(1, ignore);
  ASSERT_TRUE(refusal);
  const auto refused = as_result(*refusal);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
  EXPECT_EQ(refused.error().message(), "unit: a value is missing");
}

TEST(ConnectionToServer, AServerThatDoesNotAnswerTimesOut) {
  Pair pair;
  pair.client->set_timeout_for_testing(ConnectionToServer::Timeout(1));
  const auto hung = pair.client->await_ack(1, ignore);
  ASSERT_FALSE(hung);
  EXPECT_EQ(hung.error().code, ETIMEDOUT);
  EXPECT_EQ(pair.client->status().error().code, ETIMEDOUT);
}

TEST(ConnectionToServer, AServerThatDoesNotReadTimesOut) {
  Pair pair;
  pair.client->set_timeout_for_testing(ConnectionToServer::Timeout(1));
  const std::string packet(60'000, 'x');
  Result<void> sent;
  for (int i = 0; i < 1000 && sent; i++) sent = pair.client->send(packet);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ETIMEDOUT);
}

TEST(ConnectionToServer, AServerThatClosesIsAReset) {
  Pair pair;
  pair.server.reset();
  EXPECT_EQ(pair.client->await_ack(1, ignore).error().code, ECONNRESET);
  EXPECT_EQ(pair.client->send("x").error().code, ECONNRESET);
}

TEST(ConnectionToServer, AByeHasItsErrnoAndText) {
  Pair pair;
  pair.answer(wire::encode(wire::Bye{.error = EUSERS, .text = "too many listeners"}, 0));
  const auto ended = pair.client->await_ack(1, ignore);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, EUSERS);
  EXPECT_NE(ended.error().message().find("too many listeners"), std::string::npos);
  pair.answer(wire::encode(wire::Bye{.error = 0, .text = "restart"}, 0));
  EXPECT_EQ(pair.client->await_ack(1, ignore).error().code, ECONNRESET);
}

TEST(ConnectionToServer, AByeIsReceivedFromAServerThatDidNotReadAll) {
  Pair pair;
  EXPECT_TRUE(pair.client->send(ack(1)));
  pair.answer(wire::encode(wire::Bye{.error = EUSERS, .text = "too many requests"}, 0));
  pair.server.reset();
  EXPECT_EQ(pair.client->await_ack(1, ignore).error().code, EUSERS);
}

TEST(ConnectionToServer, AByeIsReceivedFromAServerThatClosedBeforeTheHello) {
  Pair pair;
  pair.answer(wire::encode(wire::Bye{.error = EMFILE, .text = "no room"}, 0));
  pair.server.reset();
  const auto greeted = pair.client->exchange_hellos();
  ASSERT_FALSE(greeted);
  EXPECT_EQ(greeted.error().code, EMFILE);
}

TEST(ConnectionToServer, RefusesFramesThatDoNotParse) {
  std::string truncated = ack(1);
  truncated.pop_back();
  std::string trailing = ack(1) + ack(1);
  std::string claims = ack(1);
  claims[0] = '\xff';
  for (const std::string& garbage :
       {std::string("hello"), truncated, trailing, claims, std::string(60'000, '\xff'),
        std::string(wire::kMostFrame + 4, 'x')}) {
    Pair pair;
    const int room = 1 << 20;
    ::setsockopt(pair.server.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    pair.answer(garbage);
    const auto read = pair.client->await_ack(1, ignore);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, EBADMSG) << garbage.substr(0, 20);
  }
}

TEST(ConnectionToServer, JoinsThePiecesOfAStatus) {
  Pair pair;
  std::string json(100'000, 'x');
  std::string_view left = json;
  while (!left.empty()) pair.answer(wire::encode_status_text(left, 0));
  pair.answer(ack(0));
  const auto status = pair.client->status();
  ASSERT_TRUE(status) << status.error().message();
  EXPECT_EQ(*status, json);
}

TEST(ConnectionToServer, ClosesDescriptorsSentAlong) {
  Pair pair;
  std::string packet = ack(1);
  iovec data{.iov_base = packet.data(), .iov_len = packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  UniqueFd reading(ends[0]), writing(ends[1]);
  std::memcpy(CMSG_DATA(header), &ends[1], sizeof(int));
  ASSERT_GT(::sendmsg(pair.server.get(), &message, 0), 0);
  EXPECT_TRUE(pair.client->await_ack(1, ignore));
  writing.reset();
  char byte = 0;
  EXPECT_EQ(::read(reading.get(), &byte, 1), 0) << "the descriptor that was sent is still open";
}

TEST(ConnectionToServer, ConnectReportsAnAbsentOrBusyServer) {
  const auto absent = ConnectionToServer::connect("/nowhere/knell.sock");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ENOENT);
  EXPECT_EQ(absent.error().message(), "knelld is not running: there is no /nowhere/knell.sock");
  EXPECT_EQ(ConnectionToServer::connect(std::string(200, 'x')).error().code, EINVAL);

  char folder[] = "/tmp/knell-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/socket";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(ConnectionToServer::connect(path).error().code, ECONNREFUSED);
  ASSERT_EQ(::listen(socket.get(), 0), 0);
  const auto first = ConnectionToServer::connect(path);
  EXPECT_TRUE(first);
  EXPECT_EQ(ConnectionToServer::connect(path, ConnectionToServer::Timeout(0)).error().code, EAGAIN)
      << "the backlog is full, and connect() must not wait";
  EXPECT_EQ(ConnectionToServer::connect(path, ConnectionToServer::Timeout(1)).error().code, EAGAIN);
  ::unlink(path.c_str());
  ::rmdir(folder);
}

std::string processes() {
  std::string out;
  wire::FrameWriter frame(out, Message::kProcesses, 0);
  frame.attribute(wire::kEpoch, int64_t{5});
  frame.finish();
  return out;
}

TEST(ConnectionToServer, ASnapshotIsAllFramesUpToItsAck) {
  Pair pair;
  std::string events;
  wire::FrameWriter(events, Message::kEvents, 0).finish();
  pair.answer(processes());
  pair.answer(events);
  pair.answer(ack(99));
  pair.answer(processes());
  pair.answer(ack(0));
  pair.answer(processes());  // the processes of the next snapshot
  size_t others = 0;
  const auto answer = pair.client->snapshot(
      [&](const wire::Frame& frame) { others += frame.type == Message::kEvents; });
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->payloads.size(), 2u);
  EXPECT_EQ(answer->ack.error, 0);
  EXPECT_EQ(others, 1u);
}

TEST(ConnectionToServer, ASnapshotWaitsOnlyWhileFramesCome) {
  Pair pair;
  pair.client->set_timeout_for_testing(ConnectionToServer::Timeout(1));
  pair.answer(processes());
  const auto answer = pair.client->snapshot(ignore);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ETIMEDOUT);
}

}  // namespace
}  // namespace knell::client
