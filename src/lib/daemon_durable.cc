// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The functions of DaemonListener for durable listeners.
//
// The first read sends the subscription. It replaces the predicates that the daemon has stored for
// the name, so the predicates must be complete.
//
// After an error of a later subscription the daemon does not use the connection for the name any
// more, and after EIO, a time-out or the loss of the connection it is unknown whether it has stored
// the old or the new predicates. So the listener connects again with those that are in force here,
// and reports a lost event for the time in which the daemon may have used others.
//
// An acknowledgement is one number, the seq of the newest acknowledged event. At most one request
// is in flight; the next one is sent when its ack has arrived, with the newest number then. So many
// calls of knell_ack() need few commits. After a reconnect the daemon may deliver events again
// whose ack was lost. They are dropped here, and acknowledged when they arrive: a daemon refuses
// the number of an event that it has not delivered on this connection.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "base/rollback.h"
#include "lib/daemon_listener.h"

namespace knell::lib {
namespace {

constexpr uint64_t kAckRetryNs = 1'000'000'000;

std::optional<journal::Cursor> cursor_of(const knell_event& event) {
  if (event.cursor.data == nullptr) return std::nullopt;
  return journal::parse_cursor({event.cursor.data, event.cursor.size});
}

}  // namespace

DaemonListener::~DaemonListener() {
  // A forked child shares the socket: its parent would take the answer for that to its own request.
  if (::getpid() != owner()) return;
  // Try to send the last acknowledgement.
  if (state_ != State::kConnected || !connection_ || acked_.seq <= sent_.seq) return;
  const wire::Acknowledge request{.cursor = journal::text_of(acked_), .failed = failed_};
  std::ignore = connection_->try_send(wire::encode(request, connection_->next_seq()));
}

// For later subscriptions, the daemon continues after the last acknowledged event.
wire::Durable DaemonListener::durable_request() const {
  if (!durable_) return {};
  wire::Durable request = *durable_;
  if (begun_) {
    request.from = KNELL_FROM_ACKNOWLEDGED;
    request.cursor.clear();
  }
  return request;
}

Result<void> DaemonListener::begin_durable() {
  if (!durable_ || begun_ || state_ == State::kClosed) return {};
  // For the case that a reconnect sends it.
  if (unconfirmed_ns_ == 0) unconfirmed_ns_ = clock_.monotonic_ns();
  if (state_ != State::kConnected) return {};
  const uint32_t number = connection_->next_seq();
  const wire::Durable durable = durable_request();
  names_wanted_ = filter_.interest().details != KNELL_DETAILS_STATUS;
  KNELL_ASSIGN(const std::string packet, wire::encode(subscription(), number, &durable));
  auto begun = request(packet, number);
  if (!begun && begun.error().code == EOPNOTSUPP && begun.error().context.contains("attribute"))
    begun.error().context += " (knelld " + hello_.origin.knell +
                             ", libknell " KNELL_VERSION ": durable listeners need a later knelld)";
  if (!begun && state_ != State::kClosed) return on_failure(std::move(begun).error());
  KNELL_TRY(begun);
  if (state_ != State::kConnected) return {};  // a reconnect sends it
  begun_ = true;
  unconfirmed_ns_ = 0;
  arm();
  return {};
}

// Sends a subscription that replaces the one in force.
Result<void> DaemonListener::change_durable(std::string_view packet, uint32_t number) {
  const uint64_t before_ns = unconfirmed_ns_;
  if (before_ns == 0) unconfirmed_ns_ = clock_.monotonic_ns();
  auto done = request(packet, number);
  if (state_ != State::kConnected) return done;  // closed, or a reconnect sends the subscription
  // The daemon has changed nothing if it refused the request for another reason than the journal.
  if (done || done.error().code != EIO) unconfirmed_ns_ = before_ns;
  if (!done) {
    disconnect();
    arm();
  }
  return done;
}

// Whether the caller has acknowledged the event before a reconnect.
bool DaemonListener::was_acknowledged(const knell_event& event) {
  auto cursor = cursor_of(event);
  if (!cursor) return false;
  received_here_ = *std::move(cursor);
  if (received_here_.journal != acked_.journal || received_here_.seq > acked_.seq) return false;
  send_ack();
  return true;
}

void DaemonListener::note_delivered(knell_event& event) {
  auto cursor = cursor_of(event);
  if (!cursor) return;
  if (cursor->journal == returned_.journal && cursor->seq <= returned_.seq)
    event.flags |= KNELL_FLAG_REDELIVERED;
  else
    returned_ = *std::move(cursor);
}

Result<void> DaemonListener::mark_failed(const knell_event&) {
  if (!durable_) return not_durable();
  ++failed_;
  send_ack();
  return {};
}

Result<void> DaemonListener::ack(const knell_event* event) {
  if (!durable_) return not_durable();
  KNELL_TRY(begin_durable());
  if (event == nullptr) return flush_acks();
  auto cursor = cursor_of(*event);
  if (!cursor) return {};  // a lost event that this library made
  if (cursor->journal == acked_.journal && cursor->seq <= acked_.seq) return {};
  if (cursor->journal != acked_.journal) sent_ = {};
  acked_ = *std::move(cursor);
  send_ack();
  return {};
}

// Sends the newest acknowledgement, unless a request is in flight. Does not block.
void DaemonListener::send_ack() {
  if (state_ != State::kConnected || ack_request_ || !begun_) return;
  journal::Cursor done = acked_;
  if (received_here_.journal != acked_.journal)
    done.seq = 0;
  else
    done.seq = std::min(done.seq, received_here_.seq);
  const bool newer = done.seq > sent_.seq || (ack_failed_ && done.seq != 0);
  if (!newer && failed_ == 0) return;
  wire::Acknowledge request{.cursor = {}, .failed = failed_};
  if (newer) request.cursor = journal::text_of(done);
  const uint32_t number = connection_->next_seq();
  const auto sent = connection_->try_send(wire::encode(request, number));
  // If there is no room, it is sent at the next ack or event; a read detects a lost connection.
  if (!sent || *sent != client::ConnectionToServer::Sent::kYes) return;
  ack_request_ = number;
  ack_failed_ = false;
  failed_ = 0;
  if (newer) sent_ = std::move(done);
}

// The recorder of the daemon tries to write once a second, too. Without this, a listener that may
// have no more events in flight would wait for ever.
void DaemonListener::send_ack_again(uint64_t now_ns) {
  if (state_ != State::kConnected || !ack_failed_ || now_ns < ack_retry_ns_) return;
  send_ack();
  if (ack_request_) return;
  ack_failed_ = !is_settled();
  ack_retry_ns_ = now_ns + kAckRetryNs;
}

void DaemonListener::on_other_ack(const wire::Ack& ack) {
  if (!ack_request_ || ack.request != *ack_request_) return;
  note_answer(ack);
  if (!ack_failed_) send_ack();
}

// EIO: the journal cannot be written now. After any other error the event can never be
// acknowledged: its journal was replaced, or the name was removed.
void DaemonListener::note_answer(const wire::Ack& ack) {
  ack_request_.reset();
  ack_failed_ = ack.error == EIO;
  ack_retry_ns_ = clock_.monotonic_ns() + kAckRetryNs;
  const bool newer = sent_.journal != settled_.journal || sent_.seq > settled_.seq;
  if (!ack_failed_ && newer && !sent_.journal.empty()) settled_ = sent_;
}

// Whether the newest acknowledgement was answered, or no request is needed any more.
bool DaemonListener::is_settled() const {
  if (acked_.journal.empty()) return true;
  const bool replaced = !received_here_.journal.empty() && received_here_.journal != acked_.journal;
  return replaced || (settled_.journal == acked_.journal && settled_.seq >= acked_.seq);
}

Result<void> DaemonListener::flush_acks() {
  if (state_ == State::kClosed) return std::unexpected(*error_);
  if (state_ != State::kConnected) return say(ECONNRESET, "the connection to knelld was lost");
  Rollback if_thrown([this] { on_out_of_memory(); });
  for (int tries = 0; tries < 2; ++tries) {
    send_ack();
    if (!ack_request_) break;
    const uint32_t number = *ack_request_;
    auto ack =
        connection_->await_ack(number, [this](const wire::Frame& frame) { put_aside(frame); });
    if_thrown.keep();
    if (!ack) {
      const Error error = ack.error();
      KNELL_TRY(on_failure(std::move(ack).error()));
      return std::unexpected(error);
    }
    note_answer(*ack);
    arm();
    KNELL_TRY(client::as_result(*ack));
  }
  if_thrown.keep();
  if (is_settled()) return {};
  return say(ECONNRESET,
             "the connection to knelld was lost; the last acknowledgements are sent when their "
             "events are delivered again");
}

}  // namespace knell::lib
