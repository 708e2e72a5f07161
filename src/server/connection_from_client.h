// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "handover/state.h"
#include "hub/hub.h"
#include "server/daemon_interface.h"
#include "server/peer.h"
#include "server/rate_limiter.h"
#include "server/saved_clients.h"
#include "server/sequence_numbers.h"
#include "wire/frame.h"
#include "wire/protocol.h"

namespace knell::server {

// One client: reads its requests and sends its packets. Never blocks. Not thread-safe. Must not
// outlive its Hub and DaemonInterface. Its two protocols are in native.cc and compat.cc.
class ConnectionFromClient {
 public:
  enum class Protocol : uint8_t { kNone, kCompat, kNative };
  enum class Life : uint8_t { kOpen, kClose };

  // Errors: EUSERS.
  static Result<std::unique_ptr<ConnectionFromClient>> create(UniqueFd socket, Peer peer,
                                                              hub::Hub& hub,
                                                              DaemonInterface& daemon, uint64_t id,
                                                              uint32_t requests_per_second);
  // Restores the connection of a client of the earlier daemon, with its subscription and its queue.
  // The sources do not have the interest yet: call resume() when they do. `state`: has the bytes of
  // the queue. Errors: as create(); those of Hub::subscribe() and EBADMSG.
  static Result<std::unique_ptr<ConnectionFromClient>> restore(
      UniqueFd socket, Peer peer, hub::Hub& hub, DaemonInterface& daemon, SavedClient saved,
      const handover::State& state, uint32_t requests_per_second);
  // Follows the added processes, and continues the request that was being handled.
  void resume();
  // Handles a request that the earlier daemon had received.
  Life serve_received(std::string_view packet) { return serve(packet); }
  // From now on stores the data for the next daemon in this state, which must outlive the
  // connection.
  void keep_in(handover::State* state);
  // Whether the client has just changed to a kind that is not kept, so the next daemon must not
  // restore it.
  bool stop_keeping();
  // Appends the changes since the last call to the state; `whole`: everything.
  void save(bool whole, bool resubscribed, std::span<const hub::Node::AddedChange> added);
  ~ConnectionFromClient();
  ConnectionFromClient(const ConnectionFromClient&) = delete;
  ConnectionFromClient& operator=(const ConnectionFromClient&) = delete;

  // Handles one request, or one piece of a long request. kNothing: there is no request, or the
  // client is above its rate or does not read its answers. kClose: close the connection.
  enum class Step : uint8_t { kMore, kNothing, kClose };
  Step step(uint64_t now_ns);
  // Sends queued packets as long as the socket has room. kIfDue: only if they are due; kNow: all.
  enum class Due : uint8_t { kIfDue, kNow };
  Life send(uint64_t now_ns, Due due);
  // When to call send() even without further events, CLOCK_MONOTONIC; 0: never.
  uint64_t due_ns() const;
  // When its next request may be read, CLOCK_MONOTONIC; 0: now.
  uint64_t held_until_ns() const { return rate_limiter_.held_until_ns(); }
  void release(uint64_t now_ns) { rate_limiter_.release(now_ns); }
  // Whether a request is handled in pieces, and step() can handle the next piece.
  bool has_work() const { return pending_.has_value() && !is_paused(); }
  // Whether that request is a snapshot.
  bool is_listing() const { return pending_ && pending_->listing; }
  // Whether there are too many unread answers: no further request is read until the client reads
  // them.
  bool has_too_many_answers() const { return listener_->queue().answer_bytes() > kMostAnswerBytes; }
  // Whether a request waits for the journal: finish_durable() continues it.
  bool awaits_journal() const { return pending_ && pending_->waits; }
  // Finishes the request that the daemon answers later. Then step() can be called again.
  void finish_durable(Result<void> outcome);
  // Answers the request for a page of past events with these packets; as finish_durable().
  void finish_history(const Result<std::vector<std::string>>& packets);
  // Whether the client is a durable listener, or is becoming one.
  bool is_durable() const { return durable_; }
  // Queues a whole frame of events of a durable listener.
  void queue_frame(std::string_view frame) { answer(frame); }
  // Whether the client has closed its end, or is being removed.
  bool has_left() const;
  // Whether its socket is full: call send() when it is writable.
  bool blocked() const { return blocked_; }
  void unblock() { blocked_ = false; }
  // Sends the reason (not to a client of the connector's protocol); the caller then closes the
  // connection.
  void send_bye(int error, std::string_view why);
  // Call before it is destroyed: unsubscribes, and drops up to `most` queued items. Returns whether
  // the queue is empty.
  bool drop_queue(size_t most);

  int fd() const { return socket_.get(); }
  uint64_t id() const { return id_; }
  const Peer& peer() const { return peer_; }
  const hub::Listener& listener() const { return *listener_; }
  Protocol protocol() const { return protocol_; }
  int64_t latency_ns() const { return latency_ns_; }
  int64_t started_ns() const { return started_ns_; }
  void set_requests_per_second(uint32_t most) { rate_limiter_.set_rate(most); }

  // State of the server:
  uint32_t polled = 0;   // the events that epoll watches
  bool waits = false;    // it is in the RequestScheduler
  bool hung_up = false;  // the client closed its end: remove it after its requests, or when only a
                         // snapshot is left to do
  bool gone = false;     // closed, and not yet removed

 private:
  ConnectionFromClient(UniqueFd socket, Peer peer, hub::Hub& hub, DaemonInterface& daemon,
                       uint64_t id, uint32_t requests_per_second);

  // Bytes of unread answers above which no request is read; chosen, not measured.
  static constexpr size_t kMostAnswerBytes = 16 * 1024;

  // A requested subscription, until the processes under its `under` predicates are found.
  struct Subscribing {
    filter::Subscription subscription;  // the pids in `under` are those of the client's namespace
    Peer::Search search;
    std::optional<wire::Durable> durable = {};
  };
  // The state of a snapshot request: processes are collected until they fill a frame.
  struct Listing {
    std::unique_ptr<Snapshot> snapshot;
    std::vector<std::string> processes = {};
    size_t bytes = 0;          // size of `processes`
    uint64_t answered_ns = 0;  // when the last frame was queued
  };
  // A request that is handled in pieces, alternating with requests of other clients: a
  // subscription, a request to add or remove processes, or a snapshot.
  struct Pending {
    wire::Message what{};
    // The number in its ack: `seq` of the request, or cn_msg.ack of a compat client
    uint32_t request = 0;
    std::optional<Subscribing> subscribing = {};
    std::vector<wire::AddedProcess> pids = {};
    size_t at = 0;  // index of the next one in `pids`
    std::optional<Listing> listing = {};
    bool repeated = false;                      // an earlier daemon may have handled a part of it
    std::optional<wire::Durable> durable = {};  // attach it when the subscription is active
    bool replaces = false;                      // a subscription that was in force
    bool waits = false;                         // waits for finish_durable()
    bool finished = false;                      // finish_durable() was called
    Result<void> first = {};                    // the first error
  };

  Life serve(std::string_view packet);
  // compat.cc
  void serve_compat(std::string_view payload, uint32_t nonce);
  bool listen(uint32_t mask);
  filter::Subscription datagrams(uint32_t mask) const;
  void ack_compat(uint32_t error, uint32_t nonce);
  ssize_t receive(std::string_view& packet);
  int transmit(std::span<iovec> packets, std::span<const uint32_t> items);
  size_t sendable() const;
  void save_client();
  void name_root(filter::Predicate& one) const;
  void save_items(bool whole);
  void save_added(bool whole, std::span<const hub::Node::AddedChange> changes);
  // native.cc
  Life serve_native(const wire::Frame& frame);
  Life on_hello(const wire::Frame& frame);
  void on_subscribe(const wire::Frame& frame);
  Result<void> subscribe(Subscribing made);
  using Roots = std::map<int32_t, filter::Root>;  // by the client's pids
  filter::Root find_root(int32_t named, const std::map<int32_t, int32_t>& found) const;
  static void set_roots(std::vector<filter::Predicate>& predicates, const Roots& roots);
  void on_pids(const wire::Frame& frame);
  void serve_pending();
  bool continue_subscribing(Pending& now);
  bool continue_with_pids(Pending& now);
  bool continue_scan(Pending& now);
  bool await(Pending& now, const Result<DaemonInterface::Done>& done);
  void on_acknowledge(const wire::Frame& frame);
  void on_forget(const wire::Frame& frame);
  void on_history(const wire::Frame& frame);
  Result<void> begin_history(std::string_view payload);
  Result<void> check_durable(const wire::Durable& durable,
                             const filter::Subscription& subscription) const;
  void leave_durable();
  void end_durable();
  void set_durable(bool durable);
  Result<void> add_one(const wire::AddedProcess& process);
  Result<void> remove_one(const wire::AddedProcess& process);
  void on_snapshot(const wire::Frame& frame);
  Result<Listing> begin_listing(std::string_view payload);
  bool continue_snapshot(Pending& now);
  Result<bool> list_some(Listing& listing);
  Result<void> answer_processes(Listing& listing);
  // The answers to the pending request wait until the client reads.
  bool is_paused() const { return awaits_journal() || (is_listing() && has_too_many_answers()); }
  Result<void> on_status(std::string_view payload);
  Result<Subscribing> search_for(filter::Subscription subscription);
  Result<void> change(filter::Subscription subscription);
  void acknowledge(const Result<void>& outcome, uint32_t request);

  void answer(std::string_view packet) { hub_.answer(*listener_, packet); }
  enum class Sent : uint8_t { kAll, kSome, kBlocked, kBroken };
  Sent send_datagrams();
  bool sees_all() const;
  Sent send_frames();
  size_t assemble(std::string& packet, size_t most);
  bool is_enough() const;
  Sent failed();

  UniqueFd socket_;
  Peer peer_;
  hub::Hub& hub_;
  DaemonInterface& daemon_;
  hub::Listener* listener_ = nullptr;
  const uint64_t id_;
  int64_t started_ns_;
  RateLimiter rate_limiter_;
  Protocol protocol_ = Protocol::kNone;
  filter::Rule rule_ = filter::Rule::kReleased;  // for the connector's protocol
  int64_t latency_ns_ = 0;
  uint64_t sent_ns_ = 0;
  uint32_t frames_ = 0;  // number of frames sent
  SequenceNumbers
      sequence_numbers_;  // for the datagrams sent to a client that may not see all events
  Roots roots_;           // the processes that `under` names in the subscription
  std::optional<Pending> pending_;
  bool blocked_ = false, closing_ = false;
  bool ends_ = false;  // closes when everything was sent
  bool more_ = false;  // the turn ended before everything was sent
  handover::State* state_ = nullptr;
  // The part that the state has: see hub::Queue::pushed(). `changed`: its record is out of date
  struct Saved {
    uint64_t pushed = 0, rewrites = 0;
    bool changed = true;
  } saved_;
  std::string request_;                        // the request of pending_, if there is a state
  std::vector<wire::AddedProcess> to_follow_;  // for resume()
  bool durable_ = false;
  bool uses_journal_ = false;  // the daemon may have a request of it: call detach_durable()
};

}  // namespace knell::server
