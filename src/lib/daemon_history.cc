// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Requests one page at a time. The request for the next page is sent, without blocking, when the
// events of the page before have been decoded; the answer makes the connection readable. An answer
// consists of the events, the start of the next page, and the ack.
//
//   request_page() -> kPast, kPage -> on_ack() -> reader_ -> read() --.
//         ^-----------------------------------------------------------'
//
// With `follow` the daemon answers the request after the last page when there are more events.
//
// The daemon evaluates the mask and the predicates, except `under`. That needs all events, so all
// events are requested then. All events are tested here again, so a change of mask or predicates
// takes effect immediately.
//
// A position in the journal does not depend on the daemon: after a restart of the daemon, the
// request is sent again.
#include "lib/daemon_history.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/rollback.h"
#include "journal/cursor.h"

namespace knell::lib {
namespace {

constexpr uint64_t kFirstRetryNs = 100'000'000, kLastRetryNs = 2'000'000'000;
// Without `follow`, how long a restart of the daemon may take.
constexpr uint64_t kMostAwayNs = 5'000'000'000;
// With `follow` and an end time, which may be in the future, knelld cannot wait for events.
constexpr uint64_t kPollNs = 1'000'000'000;

}  // namespace

DaemonHistory::DaemonHistory(const knell_history_options& options, std::string path)
    : HistoryListener(options), path_(std::move(path)), buffer_(wire::kMostFrame) {}

Result<std::unique_ptr<DaemonHistory>> DaemonHistory::create(const knell_history_options& options,
                                                             const std::string& path) {
  std::unique_ptr<DaemonHistory> made(new DaemonHistory(options, path));
  KNELL_TRY(made->open());
  return made;
}

Result<void> DaemonHistory::open() {
  KNELL_TRY(HistoryListener::open());
  KNELL_ASSIGN(auto connection, client::ConnectionToServer::connect(path_));
  KNELL_ASSIGN(hello_, connection.exchange_hellos());
  if ((hello_.scope.flags & wire::Scope::kOnePidNamespace) != 0)
    return say(
        EOPNOTSUPP,
        "knelld cannot return past events to another pid namespace: the journal does not have "
        "its pids");
  KNELL_TRY(probe(connection));
  KNELL_TRY(poll_readable(connection.fd()));
  connection_ = std::move(connection);
  retry_after_ns_ = kFirstRetryNs;
  return {};
}

// --------------------------------------------------------------------------------------- requests

// Whether the daemon can return pages: requests a page of a period without events.
Result<void> DaemonHistory::probe(client::ConnectionToServer& connection) const {
  wire::History none;
  none.until_ns = 1;
  const uint32_t number = connection.next_seq();
  KNELL_ASSIGN(const std::string packet, wire::encode(none, number));
  KNELL_TRY(connection.send(packet));
  KNELL_ASSIGN(const wire::Ack ack, connection.await_ack(number, [](const wire::Frame&) {}));
  return check(ack);
}

// Returns the error of an answer, unless another attempt may succeed.
Result<void> DaemonHistory::check(const wire::Ack& ack) const {
  if (ack.error == EAGAIN || ack.error == ENOBUFS || ack.error == ESTALE) return {};
  if (ack.error == EOPNOTSUPP)
    return say(EOPNOTSUPP,
               ack.text + " (knelld " + hello_.origin.knell + ", libknell " KNELL_VERSION ")");
  return client::as_result(ack);
}

wire::History DaemonHistory::page_request() const {
  wire::History asked;
  if (!has_roots()) {
    asked.wanted.mask = filter_.subscription.mask;
    asked.wanted.predicates = filter_.predicates.values();
  }
  asked.since_ns = options_.since_ns;
  asked.until_ns = options_.until_ns;
  asked.boot = boot();
  asked.wait = end_ && options_.until_ns == 0;
  asked.place = place_;
  return asked;
}

Result<void> DaemonHistory::request_page() {
  if (awaited_ || (retry_ns_ != 0 && clock_.monotonic_ns() < retry_ns_)) return {};
  retry_ns_ = 0;
  if (!connection_) KNELL_TRY(reconnect());
  if (!connection_) return {};
  const uint32_t number = connection_->next_seq();
  KNELL_ASSIGN(const std::string packet, wire::encode(page_request(), number));
  const auto sent = connection_->try_send(packet);
  if (!sent) return on_lost_connection(sent.error());
  if (*sent != client::ConnectionToServer::Sent::kYes) {
    try_again(kFirstRetryNs);
    return {};
  }
  arriving_.clear();
  head_.reset();
  awaited_ = number;
  return {};
}

void DaemonHistory::try_again(uint64_t after_ns) { retry_ns_ = clock_.monotonic_ns() + after_ns; }

Result<void> DaemonHistory::on_lost_connection(Error error) {
  if (error.code != ECONNRESET && error.code != EUSERS && error.code != EMFILE)
    return std::unexpected(std::move(error));
  const uint64_t now = clock_.monotonic_ns();
  if (std::exchange(connection_, std::nullopt)) lost_ns_ = now;
  awaited_.reset();
  if (options_.follow == 0 && now - lost_ns_ > kMostAwayNs)
    return std::unexpected(std::move(error));
  try_again(retry_after_ns_);
  retry_after_ns_ = std::min(2 * retry_after_ns_, kLastRetryNs);
  return {};
}

// Sends a HELLO; the answer is read later, by receive().
Result<void> DaemonHistory::reconnect() {
  using client::ConnectionToServer;
  auto connection = ConnectionToServer::connect(path_, ConnectionToServer::Timeout(0));
  if (!connection) return on_lost_connection({ECONNRESET, connection.error().message(), true});
  const wire::ClientHello hello{
      .knell = KNELL_VERSION, .rule = {}, .overrun = false, .quiet = false};
  const auto sent = connection->try_send(wire::encode(hello, connection->next_seq()));
  if (!sent) return on_lost_connection(sent.error());
  KNELL_TRY(poll_readable(connection->fd()));
  connection_ = *std::move(connection);
  return {};
}

// ---------------------------------------------------------------------------------------- answers

// Handles one frame. False: there is none.
Result<bool> DaemonHistory::receive() {
  if (!connection_) return false;
  const auto frame = connection_->receive(buffer_);
  if (!frame) {
    KNELL_TRY(on_lost_connection(frame.error()));
    return false;
  }
  if (!*frame) return false;
  const std::string_view payload = (*frame)->payload;
  switch ((*frame)->type) {
    case wire::Message::kHello: {
      KNELL_ASSIGN(hello_, wire::decode_server_hello(payload));
      return true;
    }
    case wire::Message::kPast:
      arriving_ = payload;
      return true;
    case wire::Message::kPage: {
      KNELL_ASSIGN(head_, wire::decode_page(payload));
      return true;
    }
    case wire::Message::kAck: {
      KNELL_ASSIGN(const wire::Ack ack, wire::decode_ack(payload));
      if (awaited_ && ack.request == *awaited_) KNELL_TRY(on_ack(ack));
      return true;
    }
    default:
      return true;  // a message of a later version
  }
}

Result<void> DaemonHistory::on_ack(const wire::Ack& ack) {
  awaited_.reset();
  retry_after_ns_ = kFirstRetryNs;
  KNELL_TRY(check(ack));
  if (ack.error == ESTALE) {
    // The journal was replaced: read the new one from its beginning, as FileHistory does.
    place_ = {};
    first_seq_ = 0;
    last_.clear();
    end_ = false;
    return {};
  }
  if (ack.error != 0) {
    try_again(kFirstRetryNs);
    return {};
  }
  if (!head_) return say(EBADMSG, "knelld's answer does not have the start of the next page");
  begin_ = std::move(place_);
  place_ = std::move(head_->next);
  end_ = head_->end;
  if (end_ && options_.until_ns != 0) try_again(kPollNs);
  head_.reset();
  events_.swap(arriving_);
  arriving_.clear();
  reader_.emplace(events_);
  return {};
}

// ----------------------------------------------------------------------------------------- events

// Runs at the first read, when the predicates are known.
void DaemonHistory::start() {
  if (std::exchange(started_, true) || options_.last == 0) return;
  counting_ = has_roots();
  if (!counting_) place_.last = options_.last;
}

Result<size_t> DaemonHistory::read(const knell_event** ret_events, size_t count) {
  ++wakeups_;
  start();
  size_t n = 0;
  Rollback if_thrown([this] { on_out_of_memory(); });
  const auto read = read_some(ret_events, std::min(count, kSlots), n);
  if_thrown.keep();
  arm();
  if (n == 0) KNELL_TRY(read);
  // Save the seq now, in case memory runs out later.
  if (n != 0) first_seq_ = static_cast<int64_t>(ret_events[n - 1]->seq) + 1;
  return n;
}

Result<void> DaemonHistory::read_some(const knell_event** ret_events, size_t most, size_t& n) {
  for (;;) {
    while (n < most && reader_) {
      knell_event& event = slots_[n];
      KNELL_ASSIGN(const bool there, next(event));
      if (!there || !wants_in_this_pass(event)) continue;
      finish(n);
      ret_events[n++] = &event;
    }
    if (reader_) return {};
    if (end_ && counting_) finish_counting();
    if (!is_over()) KNELL_TRY(request_page());
    // The returned events point into the page before.
    if (n != 0) return {};
    if (is_over()) return say(ENODATA, "the journal: there are no more events");
    KNELL_ASSIGN(const bool received, receive());
    if (!received) return {};
  }
}

// The next event of the page. False: there is none.
Result<bool> DaemonHistory::next(knell_event& event) {
  if (reader_->next(event)) {
    const auto cursor = journal::parse_cursor({event.cursor.data, event.cursor.size});
    if (!cursor) return say(EBADMSG, "knelld sent an event of the journal without its cursor");
    event.seq = static_cast<uint64_t>(cursor->seq);
    return true;
  }
  if (reader_->malformed()) return say(EBADMSG, "knelld sent a malformed event");
  reader_.reset();
  return false;
}

bool DaemonHistory::wants_in_this_pass(knell_event& event) {
  if (!wants(event)) return false;
  const auto seq = static_cast<int64_t>(event.seq);
  if (!counting_) return seq >= first_seq_;
  last_.push_back(seq);
  if (last_.size() > options_.last) last_.pop_front();
  return false;
}

void DaemonHistory::finish_counting() {
  counting_ = false;
  if (last_.empty()) return;
  first_seq_ = last_.front();
  last_.clear();
  place_ = {};
  end_ = false;
  forget_descent();
}

// An answer may have been received and not handled, and events of the page may not have been
// returned.
void DaemonHistory::on_out_of_memory() noexcept {
  connection_.reset();
  awaited_.reset();
  lost_ns_ = clock_.monotonic_ns();
  retry_ns_ = 0;
  if (!reader_) return;
  reader_.reset();
  place_ = std::move(begin_);
  end_ = false;
}

void DaemonHistory::arm() {
  const bool now = reader_ || is_over() || (!awaited_ && retry_ns_ == 0);
  alarm_.set(now ? feed::kAlarmNow : awaited_ ? 0 : retry_ns_);
}

knell_stats DaemonHistory::stats() const {
  knell_stats all = HistoryListener::stats();
  all.daemon = connection_ ? KNELL_DAEMON_HERE : KNELL_DAEMON_AWAY;
  if ((hello_.scope.flags & wire::Scope::kOwnUid) != 0) all.scope = KNELL_SCOPE_USER;
  all.scope_uid = hello_.scope.uid;
  return all;
}

}  // namespace knell::lib
