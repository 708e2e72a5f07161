// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/forwarder.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>

#include <algorithm>
#include <knell/knell.hpp>

#include "base/boot_id.h"
#include "fleet/random_name.h"
#include "fleet/subject.h"

// One step handles, in this order: news of the connection (a reconnect, a changed interest), events
// of the stream, batches that wait to be sent, batches that are safe on the server's disk, answers
// to queries, and the presence.
//
// The interest arrives as a message when a reader changes it. It is also read from its bucket after
// each connect and every few minutes, since a message may be missed.
//
// Leases: a reader renews its lease by a message. The reader cannot send it while the server is
// down, and this host cannot receive it while it is disconnected. So the time for leases stops when
// the connection is lost, or when a message is not stored, and continues `lease_grace` after the
// server was reached again. No lease ends before the bucket was read after the end of the lease.
// Without this, an outage that is longer than a lease would end all leases, and the host would
// remove its durable listener with the events that it has not sent.
namespace knell::fleet {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kInterestInterval = 300 * kSecond;
constexpr uint64_t kInterestRetry = 5 * kSecond;
constexpr uint64_t kMostLeaseDelayMs = 2000;
constexpr uint64_t kStreamRetry = kSecond;
constexpr uint64_t kFirstDelay = kSecond / 4, kMostDelay = 30 * kSecond;
constexpr milliseconds kPublishTimeout(2000);
constexpr size_t kEventsARead = 256;
constexpr int kReadsAStep = 8;
constexpr uint64_t kMostSending = kSecond / 10;  // limit of the time that one step sends
constexpr double kBurstSeconds = 10;
constexpr size_t kMostRefusedBytes = 2048;  // in the presence

uint64_t random_bits() {
  uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, GRND_NONBLOCK) < 0) bits = system_clock().boottime_ns();
  return bits;
}

std::string machine_id() {
  char id[33] = "";
  if (FILE* file = ::fopen("/etc/machine-id", "re")) {
    if (::fread(id, 1, 32, file) != 32) id[0] = '\0';
    ::fclose(file);
  }
  return id;
}

std::string predicates_text(const Wanted& wanted) {
  std::string out;
  for (const auto& [key, values] : wanted.predicates)
    for (const std::string& value : values)
      out += fmt::format("{}{}={}", out.empty() ? "" : " ", key, value);
  return out.substr(0, 512);
}

std::string refused_text(const std::vector<RefusedSelector>& refused) {
  std::string out;
  for (const auto& [owner, reason] : refused) {
    const std::string line = fmt::format("{}: {}\n", printable(owner), printable(reason));
    if (out.size() + line.size() > kMostRefusedBytes) break;
    out += line;
  }
  return out;
}

}  // namespace

Forwarder::Forwarder(ForwarderOptions options, EventStream& stream, Connection& connection,
                     Clock& clock, std::function<void(const std::string&)> log)
    : options_(std::move(options)),
      stream_(stream),
      connection_(connection),
      clock_(clock),
      log_(std::move(log)),
      cutter_(options_.host, options_.batch),
      outbox_(options_.outbox),
      tokens_(options_.events_per_second * kBurstSeconds),
      tokens_ns_(clock.monotonic_ns()) {
  presence_.host = options_.host;
  presence_.instance = random_name();
  presence_.machine_id = machine_id();
  presence_.boot_id = boot_id();
  presence_.version = version();
  presence_.state = "ok";
  presence_.stream = stream.id();
  presence_.interval_ms = options_.heartbeat.count();
  lease_delay_ms_ = static_cast<int64_t>(random_bits() % kMostLeaseDelayMs);
}

Result<void> Forwarder::start() {
  KNELL_TRY(connection_.subscribe(kControlSubject));
  if (options_.history != nullptr) KNELL_TRY(connection_.subscribe(request_subject(options_.host)));
  return connection_.subscribe(presence_subject(options_.host));
}

uint64_t Forwarder::presence_interval_ns() const {
  return static_cast<uint64_t>(std::chrono::nanoseconds(options_.heartbeat).count());
}

uint64_t Forwarder::grace_end_ns() const {
  return reached_ns_ +
         static_cast<uint64_t>(std::chrono::nanoseconds(options_.lease_grace).count());
}

void Forwarder::set_state(const std::string& state) {
  if (state == presence_.state) return;
  presence_.state = state;
  log_(state == "ok" ? "working again" : state);
  presence_due_ns_ = 0;
}

void Forwarder::note_connection() {
  connection_.clear_wake();
  if (std::string refused = connection_.refusal(); !refused.empty() && refused != refusal_) {
    refusal_ = std::move(refused);
    log_("the server refuses: " + refusal_);
  }
  const uint64_t connects = connection_.connects();
  if (connects == connects_ || !connection_.connected()) return;
  connects_ = connects;
  const std::string server = connection_.server_id();
  // A restarted server may lack messages that the process before it had not written to disk.
  if (!server_id_.empty() && server != server_id_) outbox_.resend();
  server_id_ = server;
  reached_ns_ = now();
  interest_due_ns_ = presence_due_ns_ = send_due_ns_ = 0;
}

void Forwarder::note_messages() {
  for (const Message& message : connection_.messages()) {
    if (message.subject == request_subject(options_.host)) {
      options_.history->submit(message.data);
    } else if (message.subject == kControlSubject) {
      if (auto interest = parse_interest(message.data))
        set_interest(*std::move(interest));
      else
        log_(interest.error().message());
    } else if (const auto other = parse_presence(message.data);
               other && other->instance != presence_.instance) {
      const bool same_boot = other->boot_id == presence_.boot_id;
      const bool same_machine = other->machine_id == presence_.machine_id;
      name_until_ns_ = now() + 3 * presence_interval_ns();
      name_state_ = fmt::format(
          "another forwarder calls itself {} too ({}): give each a name of its own with --host",
          options_.host,
          same_boot      ? "on this machine"
          : same_machine ? "with the same machine-id, as a cloned machine has"
                         : "on another machine");
    }
  }
}

void Forwarder::set_interest(FleetInterest interest) {
  if (interest.revision < interest_.revision) return;
  knows_interest_ = true;
  interest_ = std::move(interest);
  cutter_.set_shard(shard_of(options_.host, interest_.shards));
  wanted_until_ms_ = 0;
  apply_due_ns_ = 0;
  apply_interest();
}

void Forwarder::read_interest() {
  if (now() < interest_due_ns_ || !connection_.connected()) return;
  interest_tried_ns_ = now();
  const auto stored = connection_.last_message(kInterestStream, kInterestSubject);
  interest_due_ns_ = now() + (stored ? kInterestInterval : kInterestRetry);
  if (!stored) {
    reached_ns_ = now();  // readers cannot reach the bucket either
    return log_(stored.error().message());
  }
  interest_read_ms_ = now_ms();
  if (!stored->has_value()) {
    knows_interest_ = true;
    return;
  }
  auto interest = parse_interest((*stored)->data);
  if (!interest) return log_(interest.error().message());
  interest->revision = (*stored)->seq;
  // A newly elected server of a cluster may return an older value, once. A bucket that was created
  // anew has revisions from 1 on, so it returns a lower revision twice.
  if (!std::exchange(older_interest_, interest->revision < interest_.revision) && older_interest_) {
    interest_due_ns_ = now() + kInterestRetry;
    return;
  }
  interest_.revision = 0;
  older_interest_ = false;
  set_interest(*std::move(interest));
}

void Forwarder::advance_lease_time() {
  if (!connection_.connected() || now() < grace_end_ns()) return;
  // The first lease that ended since the interest was read.
  const auto end = next_expiry_ms(interest_, std::max(lease_time_ms_, interest_read_ms_ - 1));
  const int64_t at = now_ms();
  if (end && *end <= at) {
    if (*end + lease_delay_ms_ <= at)
      interest_due_ns_ = std::min(interest_due_ns_, interest_tried_ns_ + kInterestRetry);
    return;
  }
  lease_time_ms_ = at;
}

// Called only when the interest changes and when a lease ends, since it parses all predicates.
void Forwarder::join_interest() {
  std::vector<RefusedSelector> refused;
  wanted_ = wanted_of(interest_, options_.host, lease_time_ms_, options_.allowed, &refused,
                      options_.details);
  wanted_until_ms_ = next_expiry_ms(interest_, lease_time_ms_).value_or(INT64_MAX);
  for (const RefusedSelector& each : refused)
    if (std::ranges::none_of(refused_, [&](const auto& old) { return old.owner == each.owner; }))
      log_(fmt::format("ignores the selector of {}: {}", printable(each.owner), each.reason));
  refused_ = std::move(refused);
  std::string text = refused_text(refused_);
  if (text == presence_.refused) return;
  presence_.refused = std::move(text);
  presence_due_ns_ = 0;
}

void Forwarder::apply_interest() {
  // Until the interest is known, keep the events that the forwarder before has not sent.
  if (!knows_interest_) return;
  if (lease_time_ms_ >= wanted_until_ms_) join_interest();
  if ((wanted_ == applied_ && !stream_failed_) || now() < apply_due_ns_) return;
  if (const auto set = stream_.set_wanted(wanted_); !set) {
    stream_failed_ = true;
    stream_state_ = set.error().message();
    apply_due_ns_ = now() + kStreamRetry;
    return;
  }
  stream_failed_ = false;
  stream_state_ = "ok";
  applied_ = wanted_;
  presence_.asked = wanted_.events == 0 ? "" : events_text(wanted_.events);
  presence_.predicates = predicates_text(wanted_);
  presence_due_ns_ = 0;
}

void Forwarder::read_events() {
  more_events_ = false;
  for (int reads = 0; reads < kReadsAStep; ++reads) {
    if (!outbox_.has_room()) break;
    const auto events = stream_.read(kEventsARead);
    if (!events) {
      stream_failed_ = true;
      stream_state_ = events.error().message();
      apply_due_ns_ = now() + kStreamRetry;
      break;
    }
    if (events->empty()) break;
    for (const knell_event* event : *events) {
      if (event->type == KNELL_EVENT_LOST) presence_.lost += event->lost_count;
      cutter_.add(*event, event->seq, now(), ended_);
    }
    push_ended();
    more_events_ = reads + 1 == kReadsAStep;
  }
  // Also without room: timeout() is 0 while an open batch is due.
  cutter_.end_old(now(), ended_);
  push_ended();
}

void Forwarder::push_ended() {
  for (EventBatch& batch : ended_) outbox_.push(std::move(batch));
  ended_.clear();
}

uint64_t Forwarder::events_allowed() {
  if (options_.events_per_second == 0) return UINT32_MAX;
  const double rate = options_.events_per_second;
  const uint64_t at = now();
  tokens_ = std::min(rate * kBurstSeconds,
                     tokens_ + rate * static_cast<double>(at - tokens_ns_) / double{kSecond});
  tokens_ns_ = at;
  // After a batch that is larger than the rest of the rate, tokens_ is negative.
  return static_cast<uint64_t>(std::max(tokens_, 0.0));
}

void Forwarder::retry_later(const std::string& state) {
  send_state_ = state;
  reached_ns_ = now();  // readers may be unable to store their renewals either
  delay_ns_ = std::clamp(delay_ns_ * 2, kFirstDelay, kMostDelay);
  send_due_ns_ = now() + delay_ns_;
}

void Forwarder::send_one(const EventBatch& batch) {
  using Outcome = Published::Outcome;
  Connection::Headers headers{{"Knell-Host", options_.host},
                              {"Knell-Count", std::to_string(batch.count)}};
  if (batch.lost != 0) headers.emplace_back("Knell-Lost", std::to_string(batch.lost));
  const Published done = connection_.publish(batch.subject, message_id(stream_.id(), batch),
                                             headers, batch.payload, kPublishTimeout);
  switch (done.outcome) {
    case Outcome::kStored:
    case Outcome::kRepeat:
      presence_.events += batch.count;
      tokens_ -= batch.count;
      send_state_ = "ok";
      delay_ns_ = 0;
      outbox_.stored(done.seq, done.outcome == Outcome::kRepeat, now());
      return;
    case Outcome::kTooLarge:
      presence_.lost += batch.count;
      log_(fmt::format("lost {} events: a message of {} bytes is too large for the server",
                       batch.count, batch.payload.size()));
      outbox_.drop();
      return;
    case Outcome::kRefused:
      return retry_later("the server refuses events of this host: " + done.text);
    case Outcome::kFull:
      return retry_later("the stream of events is full: " + done.text);
    case Outcome::kNoStream:
      return retry_later(
          "the server has no stream of events (run knell fleet init), or its cluster no leader");
    case Outcome::kTimeout:
    case Outcome::kFailed:
      return retry_later("the server does not answer: " + done.text);
  }
}

void Forwarder::send() {
  const uint64_t until = now() + kMostSending;
  while (const EventBatch* batch = outbox_.next()) {
    if (!connection_.connected() || now() < send_due_ns_ || now() >= until) return;
    // One batch never needs more than one burst of the rate limit.
    if (events_allowed() < std::min<uint64_t>(batch->count, options_.events_per_second)) return;
    send_one(*batch);
    note_connection();
  }
}

// Answers are not repeated here: a reader that gets no answer sends its request again.
void Forwarder::send_history() {
  if (options_.history == nullptr) return;
  for (const HistoryService::Reply& reply : options_.history->next_replies()) {
    if (!connection_.connected()) continue;
    if (const auto sent =
            connection_.publish(reply_subject(options_.host, reply.query), reply.text);
        !sent)
      log_(sent.error().message());
  }
}

// The oldest event that was not sent is the first event in the outbox or the open batch; the stream
// has later ones.
void Forwarder::note_backlog() {
  presence_.sent = outbox_.sent();
  presence_.acked = outbox_.acked();
  presence_.waiting = outbox_.waiting();
  presence_.unsent = outbox_.waiting_events() + cutter_.open_events();
  presence_.unacked = outbox_.events() + cutter_.open_events();
  const EventBatch* batch = outbox_.next();
  const int64_t oldest_ns = batch != nullptr ? batch->time_ns : cutter_.open_time_ns();
  presence_.lag_ms =
      presence_.unsent == 0 || oldest_ns == 0
          ? 0
          : static_cast<uint64_t>(std::max<int64_t>(now_ms() - oldest_ns / 1'000'000, 0));
}

void Forwarder::send_presence() {
  note_backlog();
  set_state(stream_state_ != "ok"    ? stream_state_
            : send_state_ != "ok"    ? send_state_
            : now() < name_until_ns_ ? name_state_
                                     : "ok");
  if (now() < presence_due_ns_ || !connection_.connected()) return;
  presence_.time_ms = now_ms();
  presence_due_ns_ = now() + presence_interval_ns();
  if (const auto sent =
          connection_.publish(presence_subject(options_.host), presence_json(presence_));
      !sent)
    log_(sent.error().message());
}

void Forwarder::step() {
  note_connection();
  note_messages();
  advance_lease_time();
  read_interest();
  apply_interest();
  read_events();
  send();
  if (const auto cursor = outbox_.release(now())) {
    if (const auto acked = stream_.ack(*cursor); !acked) log_(acked.error().message());
  }
  send_history();
  send_presence();
}

milliseconds Forwarder::timeout() const {
  const uint64_t at = now();
  uint64_t due = presence_due_ns_;
  if (more_events_) due = at;
  due = std::min(due, interest_due_ns_);
  if (stream_failed_) due = std::min(due, apply_due_ns_);
  if (const auto batch = cutter_.due_ns()) due = std::min(due, *batch);
  if (outbox_.next() != nullptr) {
    // When the rate limit leaves no events to send, a wait of a tenth of a second allows a few
    // messages.
    const bool paced = options_.events_per_second != 0 && tokens_ < outbox_.next()->count;
    due = std::min(due, std::max(send_due_ns_, paced ? at + kSecond / 10 : at));
  }
  if (!connection_.connected()) due = std::max(due, at + kSecond);
  if (const auto end = next_expiry_ms(interest_, lease_time_ms_)) {
    const int64_t left_ms = std::max<int64_t>(*end + lease_delay_ms_ - now_ms(), 1000);
    due = std::min(due, std::max(at + static_cast<uint64_t>(left_ms) * 1'000'000, grace_end_ns()));
  }
  const uint64_t wait = due > at ? due - at : 0;
  return milliseconds((wait + 999'999) / 1'000'000);
}

void Forwarder::finish(milliseconds limit) {
  cutter_.end(ended_);
  push_ended();
  const uint64_t until = now() + static_cast<uint64_t>(std::chrono::nanoseconds(limit).count());
  while (outbox_.next() != nullptr && connection_.connected() && now() < until &&
         now() >= send_due_ns_) {
    send_one(*outbox_.next());
  }
  (void)connection_.flush(limit);
}

}  // namespace knell::fleet
