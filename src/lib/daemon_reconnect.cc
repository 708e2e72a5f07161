// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// How a listener reconnects to a daemon that went away. Nothing here blocks: knell_read() tries to
// reconnect when the timer expires, soon at first, later every 2 s, and handles the answers when
// they arrive.
//
// After connecting, the listener sends HELLO and its subscription at once. The ack of the
// subscription ends the gap, which is reported as a lost event without a count. Then the added
// processes are added again, one frame at a time. After the ack of each frame, its processes are
// checked for an exit; see daemon_exit_check.cc.
#include <algorithm>
#include <cerrno>
#include <span>

#include "base/named_process.h"
#include "base/proc_stat.h"
#include "lib/daemon_listener.h"

namespace knell::lib {
namespace {

constexpr uint64_t kFirstRetryNs = 100'000'000, kLastRetryNs = 2'000'000'000;
constexpr uint64_t kAckTimeoutNs = 5'000'000'000;

// Whether the next attempt may succeed although this one failed.
bool is_temporary(int error, bool durable) {
  // The connection of before may not be closed yet, and the journal may be repaired.
  if (durable && (error == EBUSY || error == EIO)) return true;
  return error == EUSERS || error == EDQUOT || error == EAGAIN || error == ENOMEM ||
         error == EMFILE || error == ENFILE;
}

}  // namespace

void DaemonListener::disconnect() {
  if (state_ == State::kConnected) {
    gap_from_ns_ = last_event_ns_;
    retry_after_ns_ = kFirstRetryNs;
  }
  connection_.reset();
  ack_request_.reset();
  ack_failed_ = false;  // nothing is sent_ on the next connection
  received_here_ = sent_ = {};
  state_ = State::kDisconnected;
  retry_ns_ = clock_.monotonic_ns() + retry_after_ns_;
}

void DaemonListener::reconnect(uint64_t now_ns) {
  retry_after_ns_ = std::min(2 * retry_after_ns_, kLastRetryNs);
  retry_ns_ = now_ns + retry_after_ns_;
  using client::ConnectionToServer;
  auto connection = ConnectionToServer::connect(path_, ConnectionToServer::Timeout(0));
  if (!connection) return;
  const wire::ClientHello hello{
      .knell = KNELL_VERSION, .rule = {}, .overrun = false, .quiet = false};
  const std::string greeting = wire::encode(hello, connection->next_seq());
  awaited_ = connection->next_seq();
  note_gone_roots();
  const wire::Durable durable = durable_request();
  const auto subscribing = wire::encode(subscription(), awaited_, durable_ ? &durable : nullptr);
  for (const std::string& packet : {greeting, subscribing.value_or(std::string())}) {
    const auto sent = connection->try_send(packet);
    if (!sent || *sent != ConnectionToServer::Sent::kYes) return;
  }
  if (!attach(*std::move(connection))) return;
  state_ = State::kReconnecting;
  ack_deadline_ns_ = now_ns + kAckTimeoutNs;
  to_add_.clear();
  resubscribed_ = false;
  added_ = adding_ = alone_until_ = 0;
}

void DaemonListener::note_gone_roots() {
  for (const filter::Root& root : filter_.predicates.needs().roots) {
    const auto stat = read_proc_stat(root.pid);
    if (stat ? !root.has_start(stat->start) : !process_exists(root.pid)) gone_roots_.insert(root);
  }
}

// The daemon refused the connection by BYE or ACK (it may have too many clients), or the connection
// failed.
Result<void> DaemonListener::on_refused(Error error) {
  if (!is_temporary(error.code, durable_.has_value())) return on_failure(std::move(error));
  disconnect();
  return {};
}

Result<void> DaemonListener::on_ack_while_reconnecting(const wire::Ack& ack) {
  if (ack.request != awaited_) return {};
  auto outcome = client::as_result(ack);
  if (resubscribed_) {
    KNELL_TRY(on_readded(std::move(outcome)));
  } else {
    if (!outcome) return on_refused(std::move(outcome).error());
    on_resubscribed();
  }
  if (state_ == State::kReconnecting) add_next();
  return {};
}

void DaemonListener::on_resubscribed() {
  resubscribed_ = true;
  begun_ = true;
  // A durable listener continues at its cursor; knelld reports the events that the journal lost.
  // But until now it may have stored the events of another filter.
  if (!durable_) queue_lost(std::nullopt, gap_from_ns_);
  if (unconfirmed_ns_ != 0) queue_lost(std::nullopt, std::exchange(unconfirmed_ns_, 0));
  last_event_ns_ = clock_.monotonic_ns();
  filter_.added.for_each([this](int32_t pid, const ListenerFilter::Added& one) {
    to_add_.push_back({.pid = pid, .reserved = 0, .start = one.start});
  });
}

// The daemon adds each process of a request that it can, but its answer names only the first
// failure. So after a refusal the processes are added one by one. One that the daemon does not find
// has ended. After any other error, such as a quota, it would not be watched: then the listener
// reconnects again later, or is closed.
Result<void> DaemonListener::on_readded(Result<void> outcome) {
  if (!outcome && adding_ - added_ > 1) {
    alone_until_ = adding_;
    adding_ = added_;
    return {};
  }
  const int error = outcome ? 0 : outcome.error().code;
  if (error != 0 && error != ESRCH && error != EEXIST)
    return on_refused(std::move(outcome).error());
  if (error == ESRCH) {
    check_for_exit(to_add_[added_].pid);
    expect_lost_exit(to_add_[added_].pid, UniqueFd());
  }
  for (; added_ < adding_; ++added_) to_check_.push_back(to_add_[added_].pid);
  return {};
}

void DaemonListener::add_next() {
  if (added_ == to_add_.size()) {
    state_ = State::kConnected;
    retry_after_ns_ = kFirstRetryNs;
    to_add_ = {};
    send_ack();  // errors are ignored: unacknowledged events are delivered again
    return;
  }
  const size_t most = added_ < alone_until_ ? 1 : wire::kMostPids;
  const size_t count = std::min(to_add_.size() - added_, most);
  const auto some = std::span(to_add_).subspan(added_, count);
  awaited_ = connection_->next_seq();
  const auto sent = connection_->try_send(wire::encode(wire::Message::kAdd, some, awaited_));
  if (!sent || *sent != client::ConnectionToServer::Sent::kYes) return disconnect();
  adding_ = added_ + count;
  ack_deadline_ns_ = clock_.monotonic_ns() + kAckTimeoutNs;
}

}  // namespace knell::lib
