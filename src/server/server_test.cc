// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "server/client_for_test.h"
#include "server/wire_event_encoder.h"

namespace knell::server {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

// A server in one thread: serve() is called only when fd() or due_ns() ask for it.
class Fixture {
 public:
  Fixture() {
    address_.sun_family = AF_UNIX;  // autobind: the kernel chooses an abstract address
    UniqueFd listening(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address_), sizeof(sa_family_t)),
              0);
    socklen_t bytes = sizeof address_;
    EXPECT_EQ(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address_), &bytes), 0);
    address_bytes_ = bytes;
    EXPECT_EQ(::listen(listening.get(), 512), 0);
    auto made = Server::create(std::move(listening), {}, hub, daemon);
    EXPECT_TRUE(made);
    server = *std::move(made);
  }

  UniqueFd connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address_), address_bytes_), 0);
    return fd;
  }
  bool wants_to_serve() const {
    pollfd input{.fd = server->fd(), .events = POLLIN, .revents = 0};
    const uint64_t due = server->due_ns();
    return ::poll(&input, 1, 0) > 0 || (due != 0 && due <= system_clock().monotonic_ns());
  }
  // Calls serve() until there is nothing to do; returns the number of calls.
  int serve_all() {
    int turns = 0;
    for (; wants_to_serve() && turns < 10'000; ++turns) server->serve();
    return turns;
  }
  // A client that has sent HELLO and subscribed to all events.
  UniqueFd listener() {
    UniqueFd fd = connect();
    const ClientEnd end{fd.get()};
    EXPECT_TRUE(end.send(wire::encode(wire::ClientHello{.knell = "0", .rule = {}}, 0)));
    filter::Subscription everything;
    everything.latency_ns = 0;
    EXPECT_TRUE(end.send(*wire::encode(everything, 1)));
    serve_all();
    end.payload(wire::Message::kHello);
    EXPECT_EQ(end.ack().error, 0);
    return fd;
  }
  void exec(int32_t pid) {
    publish(pid);
    server->flush();
  }
  void publish(int32_t pid) {
    knell_event event{};
    event.size = sizeof event;
    event.type = KNELL_EVENT_EXEC;
    event.pid = pid;
    hub::PublishedEvent published;
    published.type = event.type;
    published.pid = pid;
    published.stamp_ns = ~uint64_t{0};
    published.event = &event;
    hub.publish(published, ancestry_);
  }

  WireEventEncoder encoder;
  hub::Hub hub{encoder, {}};
  FakeDaemon daemon;
  std::unique_ptr<Server> server;

 private:
  class NoAncestry final : public filter::Ancestry {
   public:
    bool is_under(const filter::Root&, const knell_event&) const override { return false; }
  };
  NoAncestry ancestry_;
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
};

// Lowers the limit on descriptors and opens all that it allows.
class AllDescriptors {
 public:
  AllDescriptors() {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit few{.rlim_cur = 100, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    while (UniqueFd one{::open("/dev/null", O_RDONLY | O_CLOEXEC)}) all_.push_back(std::move(one));
  }
  ~AllDescriptors() { give_back(); }
  AllDescriptors(const AllDescriptors&) = delete;
  AllDescriptors& operator=(const AllDescriptors&) = delete;
  void give_back_one() { all_.pop_back(); }
  void give_back() {
    all_.clear();
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0);
  }

 private:
  rlimit before_{};
  std::vector<UniqueFd> all_;
};

TEST(Server, ServesAClientFromConnectToDisconnect) {
  Fixture on;
  EXPECT_FALSE(on.wants_to_serve());
  UniqueFd one = on.listener();
  EXPECT_EQ(on.server->clients(), 1u);
  on.exec(7);
  ClientEnd{one.get()}.payload(wire::Message::kEvents);
  const int changes = on.daemon.changes;
  one.reset();
  on.serve_all();
  EXPECT_EQ(on.server->clients(), 0u);
  EXPECT_GT(on.daemon.changes, changes) << "interest_shrunk() was not called";
  EXPECT_EQ(on.hub.nodes(), 0u);
  EXPECT_FALSE(on.wants_to_serve());
}

TEST(Server, NeverSpinsAfterMisbehavingClients) {
  Fixture on;
  const UniqueFd good = on.listener();
  std::vector<UniqueFd> all;
  for (int i = 0; i < 100; ++i) {
    UniqueFd one = on.connect();
    const ClientEnd end{one.get()};
    if (i % 2 == 0) end.send("nonsense");
    if (i % 3 == 0) end.send(wire::encode(wire::ClientHello{.knell = "0", .rule = {}}, 0));
    if (i % 5 == 0) end.send("");
    if (i % 7 == 0) ::shutdown(one.get(), SHUT_WR);
    if (i % 11 == 0) ::shutdown(one.get(), SHUT_RD);
    if (i % 4 != 0) all.push_back(std::move(one));
  }
  EXPECT_LT(on.serve_all(), 1000) << "the loop spins";
  all.clear();
  EXPECT_LT(on.serve_all(), 1000) << "the loop spins";
  EXPECT_EQ(on.server->clients(), 1u);
  on.exec(7);
  ClientEnd{good.get()}.payload(wire::Message::kEvents);
}

TEST(Server, AClientThatDoesNotReadDelaysNoOther) {
  Fixture on;
  const UniqueFd slow = on.listener(), good = on.listener();
  size_t received = 0;
  for (int32_t pid = 1; pid <= 20'000; ++pid) {
    on.exec(pid);
    received += ClientEnd{good.get()}.receive_all().size();
  }
  EXPECT_EQ(received, 20'000u);
  on.serve_all();
  EXPECT_FALSE(on.wants_to_serve()) << "the server must wait for room in its socket";
  size_t packets = 0;
  for (size_t more = 1; more > 0; packets += more) {
    more = ClientEnd{slow.get()}.receive_all().size();
    on.serve_all();
  }
  EXPECT_GT(packets, 3u) << "queued packets are sent when there is room";
}

// A snapshot that waited for the client continues when the client reads, although it sends nothing.
TEST(Server, ASnapshotGoesOnWhenTheClientReads) {
  Fixture on;
  on.daemon.alive = 20'000;
  const UniqueFd fd = on.listener();
  const ClientEnd slow{fd.get()};
  ASSERT_TRUE(slow.send(wire::encode_snapshot_request(2)));
  EXPECT_LT(on.serve_all(), 10'000) << "the loop spins";
  const UniqueFd other = on.listener();  // this listener must be served in the meantime
  size_t seen = 0;
  std::optional<wire::Ack> ack;
  for (int i = 0; !ack && i < 10'000; ++i) {
    seen += pids_in_snapshot(slow.receive_all(), &ack).size();
    on.serve_all();
  }
  EXPECT_EQ(seen, 20'000u);
  EXPECT_EQ(ack, (wire::Ack{.error = 0, .request = 2, .text = {}}));
}

TEST(Server, AClientMayLeaveDuringItsSnapshot) {
  Fixture on;
  on.daemon.alive = 20'000;
  UniqueFd fd = on.listener();
  ASSERT_TRUE(ClientEnd{fd.get()}.send(wire::encode_snapshot_request(2)));
  on.serve_all();
  fd.reset();
  EXPECT_LT(on.serve_all(), 10'000);
  EXPECT_EQ(on.hub.bytes(), 0u);
  EXPECT_EQ(on.hub.users().listeners(), 0u);
}

TEST(Server, ASnapshotEndsWhenTheClientLeaves) {
  Fixture on;
  on.daemon.unmatched = 100'000'000;  // so this client has nothing to send
  const std::string request = wire::encode_snapshot_request(2);
  UniqueFd fd = on.listener();
  ASSERT_TRUE(ClientEnd{fd.get()}.send(request));
  on.server->serve();
  on.server->serve();
  const int steps = on.daemon.snapshot_steps;
  ASSERT_GT(steps, 0);
  fd.reset();
  EXPECT_LT(on.serve_all(), 10);
  EXPECT_EQ(on.daemon.snapshot_steps, steps);
  EXPECT_EQ(on.server->clients(), 0u);
  fd = on.listener();  // a client that disconnects before its request is served
  ASSERT_TRUE(ClientEnd{fd.get()}.send(request));
  fd.reset();
  EXPECT_LT(on.serve_all(), 10);
  EXPECT_LE(on.daemon.snapshot_steps, steps + 1);
  EXPECT_EQ(on.server->clients(), 0u);
}

TEST(Server, RefusesConnectionsWithEmfileWithoutDescriptors) {
  if (kSanitized) GTEST_SKIP() << "the sanitizers' own checks need descriptors";
  Fixture on;
  const UniqueFd good = on.listener();
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 5; ++i) waiting.push_back(on.connect());
  AllDescriptors taken;
  EXPECT_LT(on.serve_all(), 100);
  for (const UniqueFd& one : waiting) {
    const wire::Bye bye = ClientEnd{one.get()}.bye();
    EXPECT_EQ(bye.error, EMFILE);
    EXPECT_FALSE(bye.text.empty());
  }
  EXPECT_EQ(on.server->refused(), 5u);
  on.exec(7);
  ClientEnd{good.get()}.payload(wire::Message::kEvents);
  taken.give_back();
  const UniqueFd next = on.listener();
  EXPECT_EQ(on.server->clients(), 2u);
}

TEST(Server, RefusesWithEmfileIfThePeerCannotBeExamined) {
  if (kSanitized) GTEST_SKIP() << "the sanitizers' own checks need descriptors";
  Fixture on;
  const UniqueFd one = on.connect();
  AllDescriptors taken;
  taken.give_back_one();  // for accept()
  on.server->serve();
  EXPECT_EQ(ClientEnd{one.get()}.bye().error, EMFILE) << "a temporary error";
}

// Without this limit, a client that reads as fast as the server sends would make all others wait.
TEST(Server, SendsABoundedNumberOfPacketsATurn) {
  Fixture on;
  const UniqueFd one = on.listener();
  on.publish(1);
  hub::Listener* listener = nullptr;
  on.hub.fresh([&](hub::Listener& fresh) { listener = &fresh; });
  ASSERT_NE(listener, nullptr);
  const std::string packet = wire::encode(wire::Ack{.error = 0, .request = 0, .text = {}}, 0);
  for (int i = 0; i < 100; ++i) on.hub.answer(*listener, packet);
  on.server->flush();
  const size_t a_turn = ClientEnd{one.get()}.receive_all().size();
  EXPECT_LT(a_turn, 100u);
  ASSERT_NE(on.server->due_ns(), 0u);
  on.server->serve();
  EXPECT_EQ(ClientEnd{one.get()}.receive_all().size(), a_turn);
}

TEST(Server, AHeldClientIsDueAgain) {
  Fixture on;
  ServerOptions options;
  options.requests_per_second = 1;
  on.server->set_options(options);
  const UniqueFd one = on.connect();
  const ClientEnd end{one.get()};
  EXPECT_TRUE(end.send(wire::encode(wire::ClientHello{.knell = "0", .rule = {}}, 0)));
  for (uint32_t i = 0; i < 4; ++i) EXPECT_TRUE(end.send(*wire::encode(filter::Subscription{}, i)));
  on.serve_all();
  EXPECT_FALSE(on.wants_to_serve()) << "its requests wait in its own socket";
  EXPECT_NE(on.server->due_ns(), 0u);
}

TEST(Server, SendsByeToAllClientsWhenItStops) {
  Fixture on;
  const UniqueFd one = on.listener();
  on.server.reset();
  EXPECT_EQ(ClientEnd{one.get()}.bye().error, 0);
  EXPECT_EQ(ClientEnd{one.get()}.receive(), "");
}

}  // namespace
}  // namespace knell::server
