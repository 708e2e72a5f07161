// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "event/cn_message.h"
#include "hub/hub.h"
#include "server/connection_from_client.h"
#include "server/daemon_interface.h"
#include "server/wire_event_encoder.h"
#include "wire/event.h"
#include "wire/protocol.h"

namespace knell::server {

// A snapshot of processes with the pids 1, 2, ..., after `unmatched` that are not listed. Counts
// its steps in `steps`.
class FakeSnapshot final : public Snapshot {
 public:
  FakeSnapshot(int32_t processes, int32_t fails_at, int unmatched, int& steps)
      : left_(processes), fails_at_(fails_at), unmatched_(unmatched), steps_(steps) {}
  Result<Step> step() override {
    ++steps_;
    if (unmatched_ > 0 && unmatched_-- > 0) return Step::kMore;
    if (left_ == 0) return Step::kEnd;
    if (++pid_ == fails_at_) return say(EIO, "cannot read /proc");
    --left_;
    knell_event event{};
    event.pid = pid_;
    event.args = {args_.data(), args_.size()};
    process_ = encoder_.event(event, KNELL_DETAILS_FULL);
    return Step::kProcess;
  }
  std::string_view process() const override { return process_; }
  size_t bytes() const override { return kBytes; }

  static constexpr size_t kBytes = 1000;

 private:
  WireEventEncoder encoder_;
  std::string_view process_;
  const std::string args_ = std::string(100, 'x') + '\0';
  int32_t pid_ = 0, left_, fails_at_;
  int unmatched_;
  int& steps_;
};

// Accepts every request, unless a member below changes that.
class FakeDaemon : public DaemonInterface {
 public:
  void save() override {}
  Result<void> interest_grown(const hub::Listener&) override {
    ++changes;
    if (refuses) return say(ENOSPC, "the source is full");
    return {};
  }
  Result<bool> scan_live_processes(Scan what) override {
    if (unscanned > 0 && --unscanned > 0) return false;
    if (what == Scan::kAllButRoots) return true;
    if (unscanned_roots > 0) --unscanned_roots;
    if (unscanned_roots == 0 && scan_fails) return say(E2BIG, "too many are under it");
    return unscanned_roots == 0;
  }
  void interest_shrunk() override { ++changes; }
  Result<void> follow(int32_t pid, uint64_t) override {
    if (pid == missing_pid) return say(ESRCH, "there is no process " + std::to_string(pid));
    followed.push_back(pid);
    return {};
  }
  void unfollow(int32_t pid) override { std::erase(followed, pid); }
  wire::Origin origin() const override {
    wire::Origin origin;
    origin.knell = "9.9";
    return origin;
  }
  std::string status_json(const Peer&) const override { return json; }
  Result<std::unique_ptr<Snapshot>> begin_snapshot(const hub::Listener&) override {
    if (refuses) return say(EMFILE, "no descriptors are left");
    return std::make_unique<FakeSnapshot>(alive, snapshot_fails_at, unmatched, snapshot_steps);
  }
  Result<Done> attach_durable(ConnectionFromClient&, const wire::Durable& durable) override {
    if (refuses_durable) return say(EBUSY, "it is in use");
    durables.push_back(durable.name);
    return done;
  }
  Result<Done> acknowledge_durable(ConnectionFromClient&, const wire::Acknowledge& what) override {
    acknowledged.push_back(what.cursor);
    return done;
  }
  Result<Done> forget_durable(ConnectionFromClient&, const wire::Forget& forget) override {
    std::erase(durables, forget.name);
    return done;
  }
  Result<void> read_history(ConnectionFromClient&, const wire::History& asked,
                            hub::Filter) override {
    if (refuses_durable) return say(EOPNOTSUPP, "there is no journal");
    histories.push_back(asked);
    return {};
  }
  void detach_durable(ConnectionFromClient&) override { ++detached; }
  void continue_durable(ConnectionFromClient&) override {}
  event::Raw make_ack(uint32_t error, uint32_t ack) override {
    event::Raw raw;
    raw.what = KNELL_EVENT_NONE;
    raw.seq = next_seq++;
    raw.u.ack = {.err = error, .ack = ack};
    return raw;
  }

  int changes = 0;
  bool refuses = false, scan_fails = false;
  // Remaining steps of the scans: of the living processes, and of the processes under roots
  int unscanned = 0, unscanned_roots = 0;
  int32_t missing_pid = 0;
  int32_t alive = 0, snapshot_fails_at = 0;  // for a snapshot
  int unmatched = 0;                         // number of processes that the predicates exclude
  int snapshot_steps = 0;
  uint32_t next_seq = 0;
  std::vector<int32_t> followed;
  std::vector<std::string> durables, acknowledged;
  std::vector<wire::History> histories;
  bool refuses_durable = false;
  Done done = Done::kNow;
  int detached = 0;
  std::string json = "{}";
};

// The client's end of a connection. Does not block.
struct ClientEnd {
  int fd;

  bool send(std::string_view packet) const {
    return ::send(fd, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
           static_cast<ssize_t>(packet.size());
  }
  // nullopt: there is no packet. Empty: the connection is closed.
  std::optional<std::string> receive() const {
    static std::string room(1 << 17, '\0');  // static: sanitizers make it slow to allocate
    const ssize_t n = ::recv(fd, room.data(), room.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return std::nullopt;
    return room.substr(0, n > 0 ? static_cast<size_t>(n) : 0);
  }
  std::vector<std::string> receive_all() const {
    std::vector<std::string> all;
    while (auto packet = receive()) {
      if (packet->empty()) break;
      all.push_back(*std::move(packet));
    }
    return all;
  }
  // The payload of the next packet, which must be a frame of this type; otherwise the test fails.
  std::string payload(wire::Message type) const {
    const auto packet = receive();
    if (!packet || packet->empty()) {
      ADD_FAILURE() << "no frame was received";
      return {};
    }
    const auto frame = wire::parse_packet(*packet);
    EXPECT_TRUE(frame);
    if (!frame) return {};
    EXPECT_EQ(static_cast<int>(frame->type), static_cast<int>(type));
    return std::string(frame->payload);
  }
  wire::Ack ack() const {
    return wire::decode_ack(payload(wire::Message::kAck))
        .value_or(wire::Ack{.error = -1, .request = 0, .text = {}});
  }
  wire::Bye bye() const {
    return wire::decode_bye(payload(wire::Message::kBye))
        .value_or(wire::Bye{.error = -1, .text = {}});
  }
};

// The two ends of a connection, over a socketpair, for a test with one thread.
struct ConnectedClient {
  // `connection` stays empty if the hub refuses the client.
  ConnectedClient(hub::Hub& hub, DaemonInterface& daemon, uint64_t id,
                  uint32_t requests_per_second = 1'000'000) {
    int ends[2];
    KNELL_CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    theirs = UniqueFd(ends[1]);
    end.fd = ends[1];
    auto peer = Peer::create(ends[0], {}, system_clock());
    KNELL_CHECK(peer.has_value());
    auto made = ConnectionFromClient::create(UniqueFd(ends[0]), *std::move(peer), hub, daemon, id,
                                             requests_per_second);
    if (made) connection = *std::move(made);
  }
  void say_hello() const {
    KNELL_CHECK(end.send(wire::encode(
        wire::ClientHello{.knell = "9", .rule = {}, .overrun = false, .quiet = false}, 0)));
  }
  // Handles the requests of the client, and sends the waiting packets.
  void serve() const {
    const uint64_t now_ns = system_clock().monotonic_ns();
    while (connection->step(now_ns) == ConnectionFromClient::Step::kMore) {
    }
    (void)connection->send(now_ns, ConnectionFromClient::Due::kNow);
  }

  UniqueFd theirs;
  ClientEnd end{-1};
  std::unique_ptr<ConnectionFromClient> connection;
};

// The pids in the frames of a snapshot, up to its ack; the test fails at any other frame.
inline std::vector<int32_t> pids_in_snapshot(const std::vector<std::string>& packets,
                                             std::optional<wire::Ack>* ack = nullptr) {
  std::vector<int32_t> pids;
  for (const std::string& packet : packets) {
    const auto frame = wire::parse_packet(packet);
    EXPECT_TRUE(frame);
    if (!frame) break;
    if (frame->type == wire::Message::kAck) {
      const auto decoded = wire::decode_ack(frame->payload);
      EXPECT_TRUE(decoded);
      if (ack != nullptr && decoded) *ack = *decoded;
      break;
    }
    EXPECT_EQ(static_cast<int>(frame->type), static_cast<int>(wire::Message::kProcesses));
    wire::EventReader reader(frame->payload, wire::Message::kProcesses);
    knell_event event;
    while (reader.next(event)) pids.push_back(event.pid);
    EXPECT_FALSE(reader.malformed());
  }
  return pids;
}

// A packet of a client of the connector, with `words` of 4 bytes as its request.
inline std::string connector_request(const std::vector<uint32_t>& words, uint32_t nonce = 41) {
  std::string packet(sizeof(nlmsghdr) + sizeof(knell_cn_msg), '\0');
  packet.append(reinterpret_cast<const char*>(words.data()), words.size() * sizeof(uint32_t));
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(packet.size());
  header.nlmsg_type = NLMSG_DONE;
  knell_cn_msg message{};
  message.idx = KNELL_CN_IDX_PROC;
  message.val = KNELL_CN_VAL_PROC;
  message.ack = nonce;
  message.len = static_cast<uint16_t>(words.size() * sizeof(uint32_t));
  std::memcpy(packet.data(), &header, sizeof header);
  std::memcpy(packet.data() + sizeof header, &message, sizeof message);
  return packet;
}

}  // namespace knell::server
