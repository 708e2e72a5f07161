// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A listener whose events come from knelld, filtered there.
//
// knell_fd() is an epoll descriptor with the connection and one timer. The timer is set to the next
// attempt to reconnect, to the time when a pending exit is synthesized, or, while there are more
// events to return, to a time in the past. knell_read() decodes events in the buffer of the
// received packet and returns pointers to them.
//
// The library adds data that the daemon does not have: cookies, the numbers of events (`seq`), and
// the names of users (the daemon does not query the user database). It also tracks the added
// processes that have not exited. The daemon filters events; those sent before the daemon applied a
// change of mask or predicates are filtered here again.
//
// Requests wait for their ack. Events received meanwhile are put aside; see packet_buffer.h. A
// process may exit while it is being added: this is detected by a pidfd, which is opened before the
// request and checked after the ack. The daemon may or may not report that exit; after a grace
// period it is synthesized here. The first exit reported removes the process from the added ones,
// so there is only one.
//
// If memory runs out, the state of the connection may be wrong: an answer may have been read and
// not recorded. So the listener closes the connection and reconnects, which reports the gap.
#include "lib/daemon_listener.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <new>

#include "base/named_process.h"
#include "base/pidfd.h"
#include "base/rollback.h"
#include "event/fields.h"
#include "event/mask.h"
#include "filter/rule.h"
#include "lib/synthetic_events.h"
#include "source/join.h"

namespace knell::lib {
namespace {

constexpr uint64_t kConnectionTag = 1, kAlarmTag = 2;
constexpr size_t kSlots = 512;  // about the number of events in one packet; 200 KB

// Cuts the args to `most` bytes and a NUL byte, as the source does. `most`: 0: no limit. knelld
// sends as much as its own limit allows, since its listeners share the bytes of an event.
void limit_args(knell_event& event, uint32_t most) {
  if (most == 0 || event.args.data == nullptr || event.args.size <= size_t{most} + 1) return;
  // The strings of an event are in the buffer of its packet, which is not used by anything else.
  char* const args = const_cast<char*>(event.args.data);
  event.args.size = args[most - 1] == '\0' ? most : most + size_t{1};
  args[event.args.size - 1] = '\0';
  event.flags |= KNELL_FLAG_ARGS_TRUNCATED;
}

}  // namespace

// ---------------------------------------------------------------------------------------- opening

DaemonListener::DaemonListener(const knell_options& options, std::string path)
    : knell_listener(ListenerFilter::of(options)),
      path_(std::move(path)),
      slots_(kSlots),
      names_(kSlots) {
  if (options.durable == nullptr) return;
  durable_.emplace();
  durable_->name = options.durable;
  durable_->from = options.from;
  if (options.cursor != nullptr) durable_->cursor = options.cursor;
  if (options.max_unacked != 0) durable_->most_unacked = options.max_unacked;
}

Result<std::unique_ptr<DaemonListener>> DaemonListener::create(const knell_options& options,
                                                               const std::string& path) {
  std::unique_ptr<DaemonListener> listener(new DaemonListener(options, path));
  KNELL_TRY(listener->open());
  return listener;
}

Result<void> DaemonListener::open() {
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return errno_error("create an epoll descriptor");
  KNELL_ASSIGN(alarm_, feed::Alarm::create(epoll_.get(), kAlarmTag));
  KNELL_ASSIGN(auto connection, client::ConnectionToServer::connect(path_));
  KNELL_ASSIGN(hello_, connection.exchange_hellos());
  KNELL_TRY(attach(std::move(connection)));
  state_ = State::kConnected;
  last_event_ns_ = clock_.monotonic_ns();
  if (durable_) {
    arm();  // the first read subscribes, with the predicates added until then
    return {};
  }
  KNELL_TRY(subscribe());
  // The daemon closed the connection before the ack. While opening, this is an error, so do not
  // wait.
  if (state_ != State::kConnected) return say(ECONNRESET, "the connection to knelld was lost");
  last_event_ns_ = clock_.monotonic_ns();
  return {};
}

Result<void> DaemonListener::attach(client::ConnectionToServer connection) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kConnectionTag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.fd(), &event) != 0)
    return errno_error("poll a socket");
  connection_ = std::move(connection);
  return {};
}

// --------------------------------------------------------------------------------------- requests

filter::Subscription DaemonListener::subscription() const {
  filter::Subscription asked = filter_.subscription;
  asked.predicates = filter_.predicates.values();
  for (filter::Predicate& one : asked.predicates) {
    if (one.key != filter::Key::kUnder) continue;
    auto& pid = std::get<int64_t>(one.value);
    if (gone_roots_.contains({static_cast<int32_t>(pid), one.start}))
      pid = std::numeric_limits<int32_t>::max();
  }
  // An added process is removed when its exit is received, with any status, so every exit is
  // requested.
  if (asked.only_added) asked.mask |= KNELL_EVENT_EXIT;
  return asked;
}

Result<void> DaemonListener::subscribe() {
  if (durable_ && !begun_) return {};
  names_wanted_ = filter_.interest().details != KNELL_DETAILS_STATUS;
  const uint32_t number = connection_ ? connection_->next_seq() : 0;
  const wire::Durable durable = durable_request();
  KNELL_ASSIGN(const std::string packet,
               wire::encode(subscription(), number, durable_ ? &durable : nullptr));
  auto done = durable_ ? change_durable(packet, number) : request(packet, number);
  if (!done && done.error().code == EOPNOTSUPP)
    done.error().context += " (knelld " + hello_.origin.knell +
                            ", libknell " KNELL_VERSION
                            ": update the older one, and restart the programs that use it)";
  return done;
}

// Called when memory ran out during a request or a read.
void DaemonListener::on_out_of_memory() noexcept {
  if (state_ != State::kClosed) {
    disconnect();
    // The daemon delivers these events to a durable listener again, after the event that could not
    // be returned. If they were returned before it, acknowledging them would acknowledge that
    // event, too.
    if (durable_) packets_.drop_pending();
  }
  arm();
}

// Sends a request and waits for its ack. Without a connection nothing is sent: the reconnect sends
// the whole subscription and all added processes.
Result<void> DaemonListener::request(std::string_view packet, uint32_t number) {
  if (state_ == State::kClosed) return std::unexpected(*error_);
  if (state_ == State::kReconnecting) disconnect();  // the reconnect sends the changed subscription
  if (state_ == State::kDisconnected) return {};
  Rollback if_thrown([this] { on_out_of_memory(); });
  auto answered = exchange(packet, number);
  if_thrown.keep();
  return answered;
}

Result<void> DaemonListener::exchange(std::string_view packet, uint32_t number) {
  auto sent = connection_->send(packet);
  // Read even after ECONNRESET: the daemon may have sent the reason before it closed the
  // connection.
  if (!sent && sent.error().code != ECONNRESET) return on_failure(std::move(sent).error());
  auto ack = connection_->await_ack(number, [this](const wire::Frame& frame) { put_aside(frame); });
  if (!ack) return on_failure(std::move(ack).error());
  arm();
  return client::as_result(*ack);
}

// Handles a frame that is received while a request waits for its ack.
void DaemonListener::put_aside(const wire::Frame& frame) {
  if (frame.type == wire::Message::kEvents) packets_.put_aside(frame.payload);
  if (frame.type != wire::Message::kAck) return;
  if (const auto ack = wire::decode_ack(frame.payload)) on_other_ack(*ack);
}

// Handles a failed connection: after ECONNRESET and ETIMEDOUT the listener will reconnect, after
// any other error it is closed for good. Errors: all except ECONNRESET, to be returned to the
// caller of the library.
Result<void> DaemonListener::on_failure(Error error) {
  if (error.code == ECONNRESET || error.code == ETIMEDOUT) {
    disconnect();
    arm();
    if (error.code == ECONNRESET) return {};
    return std::unexpected(std::move(error));
  }
  connection_.reset();
  state_ = State::kClosed;
  error_ = std::move(error);
  arm();
  return std::unexpected(*error_);
}

// A request names a root by its pid, and a pid that this connection named before still means the
// earlier process.
Result<void> DaemonListener::check_pids_of_roots(const filter::Predicates& predicates) const {
  std::set<int32_t> pids;
  for (const filter::Root& root : predicates.needs().roots)
    if (!gone_roots_.contains(root) && !pids.insert(root.pid).second)
      return say(EEXIST, "under: this listener follows an earlier process with the pid " +
                             std::to_string(root.pid) + "; open another listener");
  return {};
}

Result<void> DaemonListener::match(std::span<const filter::Predicate> more) {
  filter::Predicates wider = filter_.predicates;
  KNELL_ASSIGN(const auto found, ListenerFilter::with_starts(more));
  KNELL_TRY(wider.add(found));
  KNELL_TRY(check_pids_of_roots(wider));
  std::vector<filter::Predicate> here = wider.values();
  std::erase_if(here, [](const auto& one) { return one.key == filter::Key::kUnder; });
  KNELL_ASSIGN(auto predicates_here, filter::Predicates::create(std::move(here)));
  std::swap(filter_.predicates, wider);
  Rollback undo([&] { std::swap(filter_.predicates, wider); });
  KNELL_TRY(subscribe());
  undo.keep();
  predicates_here_ = std::move(predicates_here);
  const filter::Interest needs = filter_.predicates.needs();
  if (needs.only_under && !wider.needs().only_under) drop_before_ns_ = clock_.monotonic_ns();
  return {};
}

Result<void> DaemonListener::set_events(uint32_t mask) {
  const uint32_t before = std::exchange(filter_.subscription.mask, filter::normalise(mask));
  Rollback undo([&] { filter_.subscription.mask = before; });
  KNELL_TRY(subscribe());
  undo.keep();
  return {};
}

Result<void> DaemonListener::add(pid_t pid, uint64_t start, uint64_t cookie) {
  KNELL_ASSIGN(UniqueFd pidfd, open_named_process(pid, start));
  if (start == 0) start = start_of_named(pid, pidfd.get());
  const ListenerFilter::Added* const found = filter_.added.find(pid);
  const bool was_added = found != nullptr;
  const ListenerFilter::Added before = was_added ? *found : ListenerFilter::Added();
  // Otherwise the pid was reused, and the exit of the earlier process was not received yet. Where a
  // start is unknown, the daemon decides.
  const auto is_same = [&] {
    return was_added && !before.is_before(start) &&
           (state_ != State::kConnected || (start != 0 && before.start == start));
  };
  const auto refuse = [pid] {
    return say(EEXIST, "process " + std::to_string(pid) + " was already added to this listener");
  };
  if (is_same()) return refuse();
  const uint32_t number = connection_ ? connection_->next_seq() : 0;
  const wire::AddedProcess one{.pid = pid, .reserved = 0, .start = start};
  Rollback undo([&] { filter_.remove(pid); });
  filter_.add(pid, start, cookie);
  auto added = request(wire::encode(wire::Message::kAdd, {&one, 1}, number), number);
  const bool dead = expect_if_dead(pid, std::move(pidfd));
  // The process existed when its pidfd was opened, so its exit must be reported, although the
  // daemon did not find it.
  if (!added && (added.error().code != ESRCH || !dead)) return added;
  if (is_same()) return refuse();  // the daemon went away before it answered
  undo.keep();
  if (was_added)
    pending_exits_.expect(pid, before.start, UniqueFd(), PendingExits::When::kLost, grace_ns());
  arm();
  return {};
}

// Returns whether the process has died since its pidfd was opened. Then its exit is synthesized if
// the daemon does not report it.
bool DaemonListener::expect_if_dead(pid_t pid, UniqueFd pidfd) {
  if (!pidfd || !is_dead(pidfd.get())) return false;
  const ListenerFilter::Added* one = filter_.added.find(pid);
  if (state_ == State::kConnected && one != nullptr)
    pending_exits_.expect(pid, one->start, std::move(pidfd), PendingExits::When::kNow, grace_ns());
  arm();
  return true;
}

void DaemonListener::add_many(std::span<knell_added> processes) {
  // A pidfd of each process in a batch is open: far fewer than the usual limit of 1024.
  constexpr size_t kBatch = 64;
  while (!processes.empty()) {
    const size_t count = std::min(kBatch, processes.size());
    add_batch(processes.first(count));
    processes = processes.subspan(count);
  }
}

// Adds processes with one request. The daemon adds each process that it can, but its answer names
// only the first failure. So after a refusal the processes are added one by one.
void DaemonListener::add_batch(std::span<knell_added> processes) {
  std::vector<knell_added*> sent;
  std::vector<UniqueFd> pidfds;
  std::vector<wire::AddedProcess> request_of;
  Rollback undo([&] {
    for (const knell_added* one : sent) filter_.added.erase(one->pid);
  });
  for (knell_added& one : processes) {
    if (std::ranges::find(sent, one.pid, &knell_added::pid) != sent.end()) {
      one.error = -EEXIST;
      continue;
    }
    if (filter_.added.find(one.pid) != nullptr) {
      // Added before, here or in an earlier call: only the daemon knows whether it has exited.
      const auto alone = add(one.pid, one.start, one.cookie);
      one.error = alone ? 0 : -alone.error().code;
      continue;
    }
    auto pidfd = open_named_process(one.pid, one.start);
    if (!pidfd) {
      one.error = -pidfd.error().code;
      continue;
    }
    const uint64_t start = one.start != 0 ? one.start : start_of_named(one.pid, pidfd->get());
    pidfds.push_back(*std::move(pidfd));
    request_of.push_back({.pid = one.pid, .reserved = 0, .start = start});
    sent.push_back(&one);
    filter_.add(one.pid, start, one.cookie);
  }
  if (sent.empty()) return undo.keep();
  const uint32_t number = connection_ ? connection_->next_seq() : 0;
  const auto added = request(wire::encode(wire::Message::kAdd, request_of, number), number);
  for (size_t i = 0; i < sent.size(); ++i) {
    const bool dead = expect_if_dead(sent[i]->pid, std::move(pidfds[i]));
    auto done = added ? Result<void>() : add_after_refusal(*sent[i]);
    if (!done && (done.error().code != ESRCH || !dead)) {
      sent[i]->error = -done.error().code;
      pending_exits_.remove(sent[i]->pid, filter_.added.find(sent[i]->pid)->start);
      filter_.added.erase(sent[i]->pid);
    } else {
      sent[i]->error = 0;
    }
  }
  undo.keep();
}

// Adds a process of a refused request with a request of its own.
Result<void> DaemonListener::add_after_refusal(const knell_added& one) {
  const uint32_t number = connection_ ? connection_->next_seq() : 0;
  const uint64_t start = filter_.added.find(one.pid)->start;
  const wire::AddedProcess alone{.pid = one.pid, .reserved = 0, .start = start};
  auto added = request(wire::encode(wire::Message::kAdd, {&alone, 1}, number), number);
  // The refused request added it.
  if (!added && added.error().code == EEXIST) return {};
  return added;
}

Result<void> DaemonListener::remove(pid_t pid) {
  const ListenerFilter::Added* added = filter_.added.find(pid);
  if (added == nullptr)
    return say(ENOENT, "process " + std::to_string(pid) + " was not added to this listener");
  const uint64_t start = added->start;
  const uint32_t number = connection_ ? connection_->next_seq() : 0;
  const wire::AddedProcess one{.pid = pid, .reserved = 0, .start = 0};
  auto removed = request(wire::encode(wire::Message::kRemove, {&one, 1}, number), number);
  filter_.remove(pid);
  pending_exits_.remove(pid, start);
  // The process has exited. Its exit event may still arrive, and is then dropped.
  if (!removed && removed.error().code == ENOENT) return {};
  return removed;
}

// --------------------------------------------------------------------------------------- snapshot

// The uid whose processes the daemon reports; nullopt: every uid.
std::optional<uint32_t> DaemonListener::visible_uid() const {
  if ((hello_.scope.flags & wire::Scope::kOwnUid) == 0) return std::nullopt;
  return hello_.scope.uid;
}

// The processes, as ConnectionToServer::snapshot() returns them; nullopt: there is no daemon that
// can list them now.
Result<std::optional<std::vector<std::string>>> DaemonListener::request_snapshot() {
  if (state_ == State::kClosed) return std::unexpected(*error_);
  if (state_ != State::kConnected) return std::nullopt;
  Rollback if_thrown([this] { on_out_of_memory(); });
  auto answer = connection_->snapshot([this](const wire::Frame& frame) { put_aside(frame); });
  if_thrown.keep();
  if (!answer) {
    KNELL_TRY(on_failure(std::move(answer).error()));
    return std::nullopt;
  }
  arm();
  if (answer->ack.error == EOPNOTSUPP) return std::nullopt;  // an older daemon
  KNELL_TRY(client::as_result(answer->ack));
  return std::move(answer->payloads);
}

Result<int> DaemonListener::snapshot(const Visitor& visitor) {
  KNELL_TRY(begin_durable());
  KNELL_ASSIGN(auto payloads, request_snapshot());
  if (!payloads) return snapshot_of_proc(filter_, visitor, visible_uid());
  for (std::string& payload : *payloads) {
    wire::EventReader reader(payload, wire::Message::kProcesses);
    knell_event event;
    while (reader.next(event)) {
      process::UserNames::Name name;
      set_user(event, name);
      limit_args(event, filter_.subscription.args_bytes);
      event::note_presence<event::kFields>(event);
      if (const int result = visitor(event); result != 0) return result;
    }
    if (reader.malformed()) return say(EBADMSG, "knelld's list of processes is malformed");
  }
  return 0;
}

// Until when to wait for the daemon to report the exit of a process that is already dead.
uint64_t DaemonListener::grace_ns() const {
  // Chosen, not measured: many times the delivery time of an event.
  constexpr uint64_t kGraceNs = 500'000'000;
  const filter::Latency latency = filter::latency_of(filter_.subscription);
  return clock_.monotonic_ns() + kGraceNs + static_cast<uint64_t>(latency.under_load_ns);
}

// ----------------------------------------------------------------------------------------- events

Result<size_t> DaemonListener::read(const knell_event** ret_events, size_t count) {
  ++wakeups_;
  KNELL_TRY(begin_durable());
  const size_t most = std::min(count, kSlots);
  if (most == 0) return 0;
  size_t n = 0;
  try {
    read(ret_events, most, n);
  } catch (const std::bad_alloc&) {
    on_out_of_memory();
    if (n == 0) throw;  // otherwise return the complete events; the gap follows
  }
  if (n == 0 && state_ == State::kClosed) return std::unexpected(*error_);
  return n;
}

// Adds events to ret_events and counts them in `n`.
void DaemonListener::read(const knell_event** ret_events, size_t most, size_t& n) {
  packets_.begin();
  run_timers();
  while (n < most) {
    knell_event& event = slots_[n];
    if (next(event)) {
      const bool wanted = wants(event);
      if (wanted) finish(n);
      remove_if_exited(event);
      if (wanted) ret_events[n++] = &event;
      continue;
    }
    const auto got = receive();
    if (!got || *got == Got::kNoRoom) break;
    if (*got == Got::kNothing && !queue_exits(clock_.monotonic_ns())) break;
  }
  arm();
}

// The next event that was already received or synthesized; does not read from the connection.
bool DaemonListener::next(knell_event& event) {
  if (!packets_.next(event)) {
    if (const uint64_t dropped = packets_.take_dropped(); dropped > 0) {
      // The daemon delivers the events of a durable listener again.
      if (durable_ && state_ != State::kClosed)
        disconnect();
      else
        queue_lost(dropped, last_event_ns_);
      on_lost_exits();
    }
    if (synthetic_.empty()) return false;
    event = synthetic_.front();
    synthetic_.pop_front();
    return true;
  }
  ++received_;
  last_event_ns_ = std::max(last_event_ns_, event.mono_ns);
  if (event.type == KNELL_EVENT_LOST &&
      (event.lost_types == 0 || (event.lost_types & KNELL_EVENT_EXIT) != 0))
    on_lost_exits();
  return true;
}

bool DaemonListener::wants(knell_event& event) {
  if (durable_ && was_acknowledged(event)) return false;
  if (event.type == KNELL_EVENT_LOST)
    return ListenerFilter::limit_lost(event, event::types_of(filter_.subscription.mask));
  if (filter_.subscription.only_added) {
    const ListenerFilter::Added* one = filter_.find(event);
    if (one == nullptr) return false;
    event.cookie = one->cookie;
  }
  return filter::passes(filter::Rule::kReleased, filter_.subscription.mask, event) &&
         !excluded_by_new_predicates(event);
}

// Whether to drop an event that the new predicates exclude. Events received before the ack of the
// new subscription were filtered by the previous one. Only the daemon can evaluate `under`, so
// events from before the ack of the first `under` are dropped: they may be of any process.
bool DaemonListener::excluded_by_new_predicates(const knell_event& event) const {
  if (event.mono_ns < drop_before_ns_) return true;
  return packets_.from_aside() && !predicates_here_.matches(event, filter::NoAncestry());
}

// Adds the data of the library to an event that is returned to the caller.
void DaemonListener::finish(size_t slot) {
  knell_event& event = slots_[slot];
  limit_args(event, filter_.subscription.args_bytes);
  event::note_presence<event::kFields>(event);
  if (durable_) note_delivered(event);
  if (event.type == KNELL_EVENT_LOST)
    lost_ += event.lost_count;
  else
    set_user(event, names_[slot]);
  // last: an event that is not returned, because memory ran out, gets no number
  event.seq = ++seq_;
}

// `name` stores the string.
void DaemonListener::set_user(knell_event& event, process::UserNames::Name& name) {
  if (!names_wanted_ || (event.has & KNELL_HAS_UID) == 0) return;
  name = users_.find(event.uid);
  if (name != nullptr) event.user = {name->data(), name->size()};
}

void DaemonListener::remove_if_exited(const knell_event& event) {
  if (event.type != KNELL_EVENT_EXIT || event.tid != event.pid) return;
  if (const auto gone = filter_.remove_exited(event.pid, ListenerFilter::start_of(event)))
    pending_exits_.remove(event.pid, gone->start);
}

Result<DaemonListener::Got> DaemonListener::receive() {
  if (packets_.malformed()) {
    KNELL_TRY(on_failure({EBADMSG, "knelld sent a malformed event", true}));
  }
  if (!connection_) return Got::kNothing;
  const auto room = packets_.room();
  if (room.empty()) return Got::kNoRoom;
  auto frame = connection_->receive(room);
  if (!frame) {
    KNELL_TRY(state_ == State::kReconnecting ? on_refused(std::move(frame).error())
                                             : on_failure(std::move(frame).error()));
    return Got::kNothing;
  }
  if (!*frame) return Got::kNothing;
  KNELL_TRY(on_frame(**frame));
  return Got::kSomething;
}

Result<void> DaemonListener::on_frame(const wire::Frame& frame) {
  switch (frame.type) {
    case wire::Message::kEvents:
      packets_.take(frame.payload);
      return {};
    case wire::Message::kHello: {
      auto hello = wire::decode_server_hello(frame.payload);
      if (!hello) return on_failure(std::move(hello).error());
      hello_ = *std::move(hello);
      return {};
    }
    case wire::Message::kAck: {
      auto ack = wire::decode_ack(frame.payload);
      if (!ack) return on_failure(std::move(ack).error());
      if (state_ == State::kReconnecting) return on_ack_while_reconnecting(*ack);
      on_other_ack(*ack);
      return {};
    }
    default:
      return {};  // a message of a later version
  }
}

// Synthesizes the exits whose grace period ended before `until_ns`; false: there are none.
bool DaemonListener::queue_exits(uint64_t until_ns) {
  const size_t before = synthetic_.size();
  while (const auto pending = pending_exits_.take(until_ns)) queue_exit(*pending);
  return synthetic_.size() != before;
}

void DaemonListener::queue_exit(const PendingExits::Exit& pending) {
  if (filter_.find(pending.pid, pending.start) == nullptr) return;
  uint32_t flags = pending.when == PendingExits::When::kLost ? KNELL_FLAG_RECOVERED : 0;
  if (filter_.interest().details != KNELL_DETAILS_STATUS) flags |= KNELL_FLAG_DETAILS_LOST;
  const knell_event event = synthetic_exit(clock_, hello_.origin.boot_id, pending.pid,
                                           pending.start, pending.wait_status, flags);
  if (predicates_here_.matches(event, filter::NoAncestry()))
    synthetic_.push_back(event);
  else
    filter_.remove_exited(pending.pid, pending.start);
}

void DaemonListener::queue_lost(std::optional<uint64_t> count, uint64_t from_ns) {
  synthetic_.push_back(synthetic_lost(clock_, from_ns, count));
  synthetic_.back().via = hello_.origin.subscription.via;
}

void DaemonListener::run_timers() {
  if (alarm_ns_ == 0) return;
  const uint64_t now = clock_.monotonic_ns();
  if (now < alarm_ns_) return;
  // A slow reader may not have read the daemon's report yet. So the grace period ends when the
  // daemon's events have reached its end, or when all of them have been read; see read().
  queue_exits(last_event_ns_);
  check_some_added(now);
  send_ack_again(now);
  if (state_ == State::kReconnecting && now >= ack_deadline_ns_) disconnect();
  if (state_ == State::kDisconnected && now >= retry_ns_) reconnect(now);
}

// Sets the timer to the earliest deadline.
void DaemonListener::arm() {
  uint64_t at = pending_exits_.due_ns();
  const auto no_later_than = [&at](uint64_t other) { at = at == 0 ? other : std::min(at, other); };
  if (state_ == State::kDisconnected) no_later_than(retry_ns_);
  if (state_ == State::kReconnecting) no_later_than(ack_deadline_ns_);
  if (check_all_ns_ != 0) no_later_than(check_all_ns_);
  if (state_ == State::kConnected && ack_failed_) no_later_than(ack_retry_ns_);
  if (state_ == State::kClosed || !to_check_.empty() || packets_.pending() || !synthetic_.empty() ||
      (durable_ && !begun_ && state_ == State::kConnected))
    at = feed::kAlarmNow;
  if (at != alarm_ns_) alarm_.set(alarm_ns_ = at);
}

// ------------------------------------------------------------------------------- stats and origin

knell_stats DaemonListener::stats() const {
  knell_stats all{};
  all.buffer_bytes = hello_.limits.queue_bytes;
  all.received = received_;
  all.shown = seq_;
  all.lost = lost_;
  all.wakeups = all.drains = wakeups_;
  all.via = hello_.origin.subscription.via;
  all.daemon = state_ == State::kConnected ? KNELL_DAEMON_HERE : KNELL_DAEMON_AWAY;
  const wire::Scope& scope = hello_.scope;
  if ((scope.flags & wire::Scope::kOnePidNamespace) != 0)
    all.scope = KNELL_SCOPE_NAMESPACE;
  else if ((scope.flags & wire::Scope::kOwnUid) != 0)
    all.scope = KNELL_SCOPE_USER;
  all.scope_uid = scope.uid;
  return all;
}

wire::Origin DaemonListener::origin() const {
  wire::Origin origin = hello_.origin;
  origin.knell = KNELL_VERSION;
  origin.subscription = {.mask = filter_.subscription.mask,
                         .level = filter_.level(),
                         .details = filter_.subscription.details,
                         .via = hello_.origin.subscription.via,
                         .started_ns = clock_.realtime_ns()};
  return origin;
}

}  // namespace knell::lib
