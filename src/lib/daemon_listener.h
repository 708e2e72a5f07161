// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "client/connection_to_server.h"
#include "feed/alarm.h"
#include "journal/cursor.h"
#include "lib/handle.h"
#include "lib/packet_buffer.h"
#include "lib/pending_exits.h"
#include "process/user_names.h"
#include "wire/protocol.h"

namespace knell::lib {

// A listener through knelld, which evaluates the predicates of filter_. See daemon_listener.cc, and
// daemon_reconnect.cc for how it reconnects, and daemon_exit_check.cc for lost exits.
class DaemonListener final : public knell_listener {
 public:
  // Waits for the daemon's answers for a few seconds at most. Errors: those of
  // client::ConnectionToServer, and the error with which the daemon refuses.
  static Result<std::unique_ptr<DaemonListener>> create(const knell_options& options,
                                                        const std::string& path);

  Result<void> match(std::span<const filter::Predicate> more) override;
  Result<void> add(pid_t pid, uint64_t start, uint64_t cookie) override;
  void add_many(std::span<knell_added> processes) override;
  Result<void> remove(pid_t pid) override;
  Result<void> set_events(uint32_t mask) override;
  int fd() const override { return epoll_.get(); }
  Result<size_t> read(const knell_event** ret_events, size_t count) override;
  Result<int> snapshot(const Visitor& visitor) override;
  Result<void> ack(const knell_event* event) override;
  Result<void> mark_failed(const knell_event& event) override;
  ~DaemonListener() override;
  knell_stats stats() const override;
  wire::Origin origin() const override;

 private:
  //               disconnect()             reconnect()             every ack was received
  //   kConnected -----------> kDisconnected -----------> kReconnecting -----------> kConnected
  //     |                           ^------------------------- | disconnect()
  //     '--> kClosed: every call fails with error_
  enum class State : uint8_t { kConnected, kDisconnected, kReconnecting, kClosed };
  enum class Got : uint8_t {
    kSomething,
    kNothing,
    kNoRoom  // until the next read() there is no space for another packet
  };

  DaemonListener(const knell_options& options, std::string path);
  Result<void> open();
  Result<void> attach(client::ConnectionToServer connection);

  void on_out_of_memory() noexcept;

  // Requests to the daemon.
  filter::Subscription subscription() const;
  Result<void> subscribe();
  Result<void> request(std::string_view packet, uint32_t number);
  Result<void> exchange(std::string_view packet, uint32_t number);
  void put_aside(const wire::Frame& frame);
  Result<void> on_failure(Error error);
  uint64_t grace_ns() const;
  void add_batch(std::span<knell_added> processes);
  Result<void> add_after_refusal(const knell_added& one);
  bool expect_if_dead(pid_t pid, UniqueFd pidfd);
  Result<std::optional<std::vector<std::string>>> request_snapshot();
  std::optional<uint32_t> visible_uid() const;
  void set_user(knell_event& event, process::UserNames::Name& name);

  // Events from the daemon.
  Result<Got> receive();
  Result<void> on_frame(const wire::Frame& frame);
  bool wants(knell_event& event);
  bool excluded_by_new_predicates(const knell_event& event) const;
  void read(const knell_event** ret_events, size_t most, size_t& n);
  bool next(knell_event& event);
  void finish(size_t slot);
  void remove_if_exited(const knell_event& event);
  bool queue_exits(uint64_t until_ns);
  void queue_exit(const PendingExits::Exit& pending);
  void queue_lost(std::optional<uint64_t> count, uint64_t from_ns);
  void run_timers();
  void arm();

  // Reconnecting; daemon_reconnect.cc.
  void disconnect();
  void reconnect(uint64_t now_ns);
  void note_gone_roots();
  Result<void> check_pids_of_roots(const filter::Predicates& predicates) const;
  Result<void> on_refused(Error error);
  Result<void> on_ack_while_reconnecting(const wire::Ack& ack);
  void on_resubscribed();
  Result<void> on_readded(Result<void> outcome);
  void add_next();

  // Exits of added processes that the daemon cannot report; daemon_exit_check.cc.
  void on_lost_exits();
  void check_all_added();
  void check_again_later();
  void check_some_added(uint64_t now_ns);
  void check_for_exit(int32_t pid);
  void expect_lost_exit(int32_t pid, UniqueFd pidfd);

  // Durable listeners; daemon_durable.cc.
  wire::Durable durable_request() const;
  Result<void> begin_durable();
  Result<void> change_durable(std::string_view packet, uint32_t number);
  bool was_acknowledged(const knell_event& event);
  void note_delivered(knell_event& event);
  void send_ack();
  void send_ack_again(uint64_t now_ns);
  void on_other_ack(const wire::Ack& ack);
  void note_answer(const wire::Ack& ack);
  bool is_settled() const;
  Result<void> flush_acks();

  const std::string path_;

  const Clock& clock_ = system_clock();
  UniqueFd epoll_;
  feed::Alarm alarm_;
  uint64_t alarm_ns_ = 0;
  State state_ = State::kDisconnected;
  std::optional<client::ConnectionToServer> connection_;  // kConnected, kReconnecting
  wire::ServerHello hello_;
  std::optional<Error> error_;

  PacketBuffer packets_;
  PendingExits pending_exits_;
  std::deque<knell_event> synthetic_;  // returned before the next received event
  std::vector<knell_event> slots_;
  std::vector<process::UserNames::Name> names_;  // the user names in slots_
  process::UserNames users_;
  bool names_wanted_ = false;
  // The predicates that can be evaluated here: all except `under`. Applied to events that were put
  // aside and to exits that are synthesized.
  filter::Predicates predicates_here_;
  // Events before this time are dropped, see excluded_by_new_predicates(); 0: none.
  uint64_t drop_before_ns_ = 0;

  // The processes named by `under` that had ended when the listener connected again: the daemon
  // does not know the processes under them, and their pids may be those of other processes.
  std::set<filter::Root> gone_roots_;

  uint64_t last_event_ns_ = 0;  // the timestamp of the last event, or the start of the subscription
  uint64_t gap_from_ns_ = 0;
  uint64_t retry_ns_ = 0, retry_after_ns_ = 0;  // kDisconnected
  uint64_t ack_deadline_ns_ = 0;                // kReconnecting: the deadline of the next ack
  uint32_t awaited_ = 0;                        // kReconnecting: the request that is acked next
  std::vector<wire::AddedProcess> to_add_;      // kReconnecting
  bool resubscribed_ = false;                   // kReconnecting: the subscription was acked
  // how many of to_add_ were acked, and how many were sent
  size_t added_ = 0, adding_ = 0;
  size_t alone_until_ = 0;  // those before this one are sent with a request each

  std::vector<int32_t> to_check_;  // added processes to check for an exit, from the back
  uint64_t check_all_ns_ = 0;      // when to check all of them again; 0: never
  bool check_once_more_ = false;   // again after the check at that time

  uint64_t seq_ = 0, received_ = 0, lost_ = 0, wakeups_ = 0;

  // A durable listener; see daemon_durable.cc.
  std::optional<wire::Durable> durable_;
  bool begun_ = false;             // its first subscription was accepted
  journal::Cursor returned_;       // the newest event that was returned
  journal::Cursor acked_;          // the newest event that was acknowledged by the caller
  journal::Cursor received_here_;  // the newest event received on this connection
  journal::Cursor sent_;           // the newest acknowledgement that was sent
  journal::Cursor settled_;        // the newest acknowledgement that was answered, except with EIO
  std::optional<uint32_t> ack_request_;  // number of the request, until its ack is received
  bool ack_failed_ = false;              // the daemon could not commit the acknowledgement
  uint64_t ack_retry_ns_ = 0;            // ack_failed_: when to send it again
  // Since when the daemon may use other predicates or another mask than the listener, until it
  // accepts the subscription; 0: it uses those of the listener.
  uint64_t unconfirmed_ns_ = 0;
  uint32_t failed_ = 0;  // events marked as failed that were not sent yet
};

}  // namespace knell::lib
