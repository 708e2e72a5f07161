// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The protocol of a client is known from its first frame: cn_msg.val is the connector's or knell's.
// Any other packet is ignored, as by the kernel; but a client that has sent a native HELLO is
// disconnected.
//
// Sending: events stay in the queue until the listener's latency budget has passed since the last
// packet, so that a single event is sent at once and a burst is sent together. They are sent
// earlier when there are enough for a packet: a listener with a large budget should not lose more
// events than others. Frames are assembled from shared bytes when they are sent, so a slow client
// gets fewer and larger frames.
#include "server/connection_from_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "event/cn_message.h"
#include "server/wire_event_encoder.h"

namespace knell::server {
namespace {

constexpr size_t kMostReceived = wire::kMostFrame;
constexpr size_t kDatagramsACall = 64;  // chosen, not measured
// Chosen, not measured: a turn of sending to one client takes at most some tenths of a millisecond.
constexpr int kPacketsATurn = 8;
constexpr size_t kSeqOffset = sizeof(nlmsghdr) + offsetof(knell_cn_msg, seq);
constexpr size_t kEnoughBytes = 32 * 1024;  // chosen, not measured

// Whether the client has closed its end: recv() returns 0 for an empty packet too.
bool hung_up_now(int socket) {
  pollfd peer{.fd = socket, .events = POLLRDHUP, .revents = 0};
  return ::poll(&peer, 1, 0) != 0;
}

}  // namespace

ConnectionFromClient::ConnectionFromClient(UniqueFd socket, Peer peer, hub::Hub& hub,
                                           DaemonInterface& daemon, uint64_t id,
                                           uint32_t requests_per_second)
    : socket_(std::move(socket)),
      peer_(std::move(peer)),
      hub_(hub),
      daemon_(daemon),
      id_(id),
      started_ns_(system_clock().realtime_ns()),
      rate_limiter_(requests_per_second, system_clock().monotonic_ns()) {}

ConnectionFromClient::~ConnectionFromClient() {
  leave_durable();
  if (listener_ != nullptr) hub_.disconnect(listener_);
}

bool ConnectionFromClient::drop_queue(size_t most) {
  leave_durable();
  hub_.unsubscribe(*listener_);
  return hub_.drop_some(*listener_, most);
}

Result<std::unique_ptr<ConnectionFromClient>> ConnectionFromClient::create(
    UniqueFd socket, Peer peer, hub::Hub& hub, DaemonInterface& daemon, uint64_t id,
    uint32_t requests_per_second) {
  const hub::Listener::Identity identity{
      .uid = peer.uid(), .scope = peer.scope(), .since_ns = peer.since_ns()};
  std::unique_ptr<ConnectionFromClient> made(new ConnectionFromClient(
      std::move(socket), std::move(peer), hub, daemon, id, requests_per_second));
  auto listener = hub.connect(identity, made.get());
  if (!listener) {
    made->send_bye(listener.error().code, listener.error().message());
    return std::unexpected(std::move(listener).error());
  }
  made->listener_ = *listener;
  return made;
}

ConnectionFromClient::Step ConnectionFromClient::step(uint64_t now_ns) {
  if (pending_) {
    if (is_paused()) return Step::kNothing;
    serve_pending();
    return Step::kMore;
  }
  if (has_too_many_answers() || !rate_limiter_.may_request(now_ns)) return Step::kNothing;
  std::string_view packet;
  const ssize_t n = receive(packet);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? Step::kNothing : Step::kClose;
  if (n == 0 && hung_up_now(socket_.get())) return Step::kClose;
  rate_limiter_.spend();
  if (static_cast<size_t>(n) > kMostReceived) {
    if (protocol_ != Protocol::kNative) return Step::kMore;
    send_bye(EMSGSIZE, "a packet must have at most " + std::to_string(kMostReceived) +
                           " bytes, not " + std::to_string(n));
    return Step::kClose;
  }
  const Life life = serve(packet);
  if (state_ != nullptr) {
    if (pending_) request_ = packet;
    saved_.changed = true;
    hub_.touch(*listener_);
    state_->received(kSavedReceived);
  }
  return life == Life::kClose ? Step::kClose : Step::kMore;
}

// Receives a packet; one that is too long is cut.
ssize_t ConnectionFromClient::receive(std::string_view& packet) {
  // recv() has no control buffer, so the kernel closes any descriptors that the client sends.
  if (state_ != nullptr) return state_->receive(socket_.get(), id_, packet);
  static thread_local std::array<char, kMostReceived> buffer;
  const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (n >= 0) packet = {buffer.data(), std::min(static_cast<size_t>(n), buffer.size())};
  return n;
}

// Sends packets of `items` queue items each. Returns the number of sent packets; -1 and errno.
int ConnectionFromClient::transmit(std::span<iovec> packets, std::span<const uint32_t> items) {
  if (state_ != nullptr) return state_->send(socket_.get(), id_, kSavedSent, packets, items);
  std::array<mmsghdr, handover::State::kMostPackets> messages{};
  for (size_t i = 0; i < packets.size(); ++i) {
    messages[i].msg_hdr.msg_iov = &packets[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  return ::sendmmsg(socket_.get(), messages.data(), static_cast<unsigned>(packets.size()),
                    MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Only what the state has may be sent: what was sent must be removed from the queue by the next
// daemon.
size_t ConnectionFromClient::sendable() const {
  const hub::Queue& queue = listener_->queue();
  if (state_ == nullptr) return queue.size();
  if (queue.rewrites() != saved_.rewrites) return 0;
  return queue.size() - std::min<size_t>(queue.size(), queue.pushed() - saved_.pushed);
}

ConnectionFromClient::Life ConnectionFromClient::serve(std::string_view packet) {
  nlmsghdr header{};
  knell_cn_msg message{};
  const bool whole = packet.size() >= wire::kHeaderBytes;
  if (whole) {
    std::memcpy(&header, packet.data(), sizeof header);
    std::memcpy(&message, packet.data() + sizeof header, sizeof message);
  }
  if (whole && message.val == wire::kVal && message.idx == KNELL_CN_IDX_PROC) {
    const auto frame = wire::parse_frame(packet);
    if (frame && *frame && (*frame)->bytes == packet.size()) return serve_native(**frame);
  } else if (protocol_ != Protocol::kNative) {
    const bool connector = whole && header.nlmsg_len >= wire::kHeaderBytes &&
                           header.nlmsg_len <= packet.size() && message.idx == KNELL_CN_IDX_PROC &&
                           message.val == KNELL_CN_VAL_PROC &&
                           message.len <= packet.size() - wire::kHeaderBytes;
    if (connector) serve_compat(packet.substr(wire::kHeaderBytes, message.len), message.ack);
    return closing_ ? Life::kClose : Life::kOpen;
  }
  send_bye(EBADMSG,
           "the packet is not one message of the protocol of knelld; see docs/protocol.md");
  return Life::kClose;
}

bool ConnectionFromClient::has_left() const {
  return gone || hung_up || hung_up_now(socket_.get());
}

uint64_t ConnectionFromClient::due_ns() const {
  if (blocked_ || listener_->queue().empty()) return 0;
  // Due already: returns a time in the past, so that the client that waited longest is served
  // first.
  if (more_ || is_enough()) return std::max<uint64_t>(sent_ns_, 1);
  return std::max<uint64_t>(sent_ns_ + static_cast<uint64_t>(latency_ns_), 1);
}

bool ConnectionFromClient::is_enough() const {
  return listener_->queue().bytes() >= std::min(kEnoughBytes, hub_.quotas().queue_bytes / 2);
}

ConnectionFromClient::Life ConnectionFromClient::send(uint64_t now_ns, Due due) {
  const hub::Queue& queue = listener_->queue();
  if (queue.empty() || blocked_)
    return closing_ || (ends_ && queue.empty()) ? Life::kClose : Life::kOpen;
  // The latency budget does not delay answers.
  if (due == Due::kIfDue && queue.answer_bytes() == 0 && now_ns < due_ns()) return Life::kOpen;
  sent_ns_ = now_ns;
  const Sent sent = protocol_ == Protocol::kNative ? send_frames() : send_datagrams();
  blocked_ = sent == Sent::kBlocked;
  more_ = sent == Sent::kSome;
  return sent == Sent::kBroken || (ends_ && sent == Sent::kAll) ? Life::kClose : Life::kOpen;
}

ConnectionFromClient::Sent ConnectionFromClient::failed() {
  return errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM ? Sent::kBlocked
                                                                                  : Sent::kBroken;
}

bool ConnectionFromClient::sees_all() const {
  const hub::Scope& scope = peer_.scope();
  return scope.every_user && scope.ns == 0;
}

ConnectionFromClient::Sent ConnectionFromClient::send_datagrams() {
  using Datagram = std::array<std::byte, KNELL_CN_DATAGRAM_BYTES>;
  const hub::Queue& queue = listener_->queue();
  const bool renumber = !sees_all();
  if (renumber) sequence_numbers_.use();
  for (int call = 0; call < kPacketsATurn && sendable() > 0; ++call) {
    std::array<iovec, kDatagramsACall> parts{};
    std::array<uint32_t, kDatagramsACall> ones{};
    ones.fill(1);
    std::array<Datagram, kDatagramsACall> copies;
    const size_t count = std::min(sendable(), kDatagramsACall);
    if (renumber) sequence_numbers_.skip_lost(queue.lost());
    SequenceNumbers numbers = renumber ? sequence_numbers_ : SequenceNumbers();
    for (size_t i = 0; i < count; ++i) {
      const std::string_view bytes = queue[i].bytes.view();
      parts[i] = {const_cast<char*>(bytes.data()), bytes.size()};
      if (renumber && bytes.size() == copies[i].size()) {
        std::memcpy(copies[i].data(), bytes.data(), bytes.size());
        numbers.assign(copies[i]);
        parts[i].iov_base = copies[i].data();
      }
    }
    const int n = transmit(std::span(parts).first(count), std::span(ones).first(count));
    if (n < 0) return failed();
    const auto sent = static_cast<size_t>(n);
    if (renumber && sent == count) sequence_numbers_ = std::move(numbers);
    for (size_t i = 0; renumber && sent < count && i < sent; ++i)
      sequence_numbers_.assign(copies[i]);
    hub_.popped(*listener_, sent);
    if (sent < count) return Sent::kBlocked;
  }
  return queue.empty() ? Sent::kAll : Sent::kSome;
}

// Assembles the next packet; returns the number of queue items in it.
size_t ConnectionFromClient::assemble(std::string& packet, size_t most) {
  const hub::Queue& queue = listener_->queue();
  packet.clear();
  size_t taken = 0;
  if (!queue[0].event) {
    packet = queue[0].bytes.view();
    taken = 1;
  } else {
    wire::EventFrame frame(packet);
    while (taken < most && queue[taken].event && add_encoded(frame, queue[taken].bytes.view()))
      ++taken;
    frame.finish();
  }
  std::memcpy(packet.data() + kSeqOffset, &frames_, sizeof frames_);
  return taken;
}

ConnectionFromClient::Sent ConnectionFromClient::send_frames() {
  static thread_local std::string packet;
  const hub::Queue& queue = listener_->queue();
  for (int i = 0; i < kPacketsATurn && sendable() > 0; ++i) {
    const size_t taken = assemble(packet, sendable());
    iovec part{packet.data(), packet.size()};
    const auto items = static_cast<uint32_t>(taken);
    if (transmit({&part, 1}, {&items, 1}) < 0) return failed();
    ++frames_;
    hub_.popped(*listener_, taken);
  }
  return queue.empty() ? Sent::kAll : Sent::kSome;
}

// Sends BYE if the socket has room. The connector's protocol has no such message: its client only
// sees the connection close.
void ConnectionFromClient::send_bye(int error, std::string_view why) {
  if (std::exchange(closing_, true)) return;
  if (protocol_ == Protocol::kCompat) return;
  const std::string bye =
      wire::encode(wire::Bye{.error = error, .text = std::string(why)}, frames_);
  (void)!::send(socket_.get(), bye.data(), bye.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace knell::server
