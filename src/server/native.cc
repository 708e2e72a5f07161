// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The native protocol, docs/protocol.md: HELLO, then requests. A request is acked when it has taken
// effect.
#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/named_process.h"
#include "base/proc_stat.h"
#include "server/connection_from_client.h"
#include "server/wire_event_encoder.h"

namespace knell::server {
namespace {

using Life = ConnectionFromClient::Life;

// A STATUS costs as much as 20 more requests: it lists every client
constexpr uint32_t kStatusWorth = 20;
// In addition to the CPU time, which is charged to the user
constexpr uint32_t kSnapshotWorth = 20;
// The size of a frame of processes. Chosen, not measured: half of the unread answers at which a
// snapshot pauses.
constexpr size_t kFrameBytes = 8 * 1024;
// How often an empty frame is sent while a snapshot is being made. Chosen, not measured: a client
// waits several seconds for a frame.
constexpr uint64_t kAliveNs = 1'000'000'000;
constexpr size_t kMostUnder = 64;  // `under` predicates of one SUBSCRIBE
// A long request costs one request for each 256 bytes of processes or values. An estimate, not
// tuned: 12 added processes.
constexpr size_t kShortBytes = 256;

// Processes looked up in one step; each look-up in /proc takes about 10 us. Chosen, not measured.
constexpr size_t kPidsAStep = 8;

// The refund for an ADD or a REMOVE: it costs a twentieth of a request, since clients add thousands
// of processes one by one.
constexpr double kCheap = 0.95;

// No process has this pid: those of Linux are below PID_MAX_LIMIT, 4194304.
constexpr int32_t kNoProcess = std::numeric_limits<int32_t>::max();

}  // namespace

Life ConnectionFromClient::serve_native(const wire::Frame& frame) {
  if (frame.type == wire::Message::kHello) return on_hello(frame);
  if (protocol_ != Protocol::kNative) {
    send_bye(EPROTO, "the first message of a client must be HELLO; see docs/protocol.md");
    return Life::kClose;
  }
  rate_limiter_.spend(static_cast<uint32_t>(frame.payload.size() / kShortBytes));
  switch (frame.type) {
    case wire::Message::kSubscribe:
      on_subscribe(frame);
      break;
    case wire::Message::kAdd:
    case wire::Message::kRemove:
      rate_limiter_.give_back(kCheap);
      on_pids(frame);
      break;
    case wire::Message::kStatus:
      rate_limiter_.spend(kStatusWorth);
      acknowledge(on_status(frame.payload), frame.seq);
      break;
    case wire::Message::kSnapshot:
      rate_limiter_.spend(kSnapshotWorth);
      on_snapshot(frame);
      break;
    case wire::Message::kAcknowledge:
      on_acknowledge(frame);
      break;
    case wire::Message::kForget:
      on_forget(frame);
      break;
    case wire::Message::kHistory:
      on_history(frame);
      break;
    default:
      acknowledge(say(EOPNOTSUPP, "message " + std::to_string(static_cast<unsigned>(frame.type)) +
                                      " is unknown to this version of knelld"),
                  frame.seq);
      break;
  }
  return closing_ ? Life::kClose : Life::kOpen;
}

Life ConnectionFromClient::on_hello(const wire::Frame& frame) {
  const auto hello = wire::decode_client_hello(frame.payload);
  if (!hello) {
    send_bye(hello.error().code, hello.error().message());
    return Life::kClose;
  }
  if (protocol_ != Protocol::kNone || listener_->node() != nullptr) {
    send_bye(EPROTO, "HELLO must be the first message, and must be sent once");
    return Life::kClose;
  }
  if (hello->quiet) {
    // From here on the client uses the connector's protocol, with these options.
    protocol_ = Protocol::kCompat;
    rule_ = hello->rule == wire::kRuleV6 ? filter::Rule::kV6 : filter::Rule::kReleased;
    listener_->set_overruns(hello->overrun);
    return Life::kOpen;
  }
  protocol_ = Protocol::kNative;
  wire::ServerHello reply;
  reply.origin = daemon_.origin();
  const hub::Scope& scope = peer_.scope();
  reply.scope.flags = (scope.every_user ? 0 : wire::Scope::kOwnUid) |
                      (scope.ns == 0 ? 0 : wire::Scope::kOnePidNamespace);
  if (reply.scope.flags == 0) reply.scope.flags = wire::Scope::kEverything;
  reply.scope.uid = peer_.uid();
  reply.scope.namespace_depth = static_cast<uint32_t>(peer_.namespace_depth());
  reply.limits.queue_bytes = hub_.quotas().queue_bytes;
  answer(wire::encode(reply, 0));
  return Life::kOpen;
}

void ConnectionFromClient::acknowledge(const Result<void>& outcome, uint32_t request) {
  wire::Ack ack;
  ack.request = request;
  if (!outcome) {
    ack.error = outcome.error().code;
    ack.text = outcome.error().message();
  }
  answer(wire::encode(ack, 0));
}

// Starts the search for the processes that `under` predicates name.
Result<ConnectionFromClient::Subscribing> ConnectionFromClient::search_for(
    filter::Subscription subscription) {
  KNELL_TRY(hub_.may_subscribe(*listener_, subscription));
  size_t unders = 0;
  std::set<int32_t> pids;
  for (const filter::Predicate& one : subscription.predicates) {
    if (one.key != filter::Key::kUnder) continue;
    rate_limiter_.spend();  // each search costs as much as a request
    if (++unders > kMostUnder)
      return say(ENOSPC, "under: more than " + std::to_string(kMostUnder) + " processes");
    pids.insert(static_cast<int32_t>(std::get<int64_t>(one.value)));
  }
  return Subscribing{.subscription = std::move(subscription),
                     .search = peer_.begin_search(std::move(pids))};
}

void ConnectionFromClient::on_subscribe(const wire::Frame& frame) {
  auto made = [&]() -> Result<Subscribing> {
    KNELL_ASSIGN(auto asked, wire::decode_subscribe(frame.payload));
    KNELL_ASSIGN(auto durable, wire::decode_durable(frame.payload));
    if (durable) KNELL_TRY(check_durable(*durable, asked));
    if (durable_ && !durable)
      return say(EINVAL, "subscribe: a durable listener cannot become another one; connect again");
    KNELL_ASSIGN(Subscribing subscribing, search_for(std::move(asked)));
    subscribing.durable = std::move(durable);
    return subscribing;
  }();
  if (!made) {
    if (durable_) end_durable();
    return acknowledge(std::unexpected(std::move(made).error()), frame.seq);
  }
  pending_ = {.what = frame.type, .request = frame.seq, .subscribing = *std::move(made)};
  serve_pending();
}

Result<void> ConnectionFromClient::subscribe(Subscribing made) {
  Roots roots;
  for (const int32_t named : made.search.pids)
    roots.emplace(named, find_root(named, made.search.found));
  set_roots(made.subscription.predicates, roots);
  KNELL_TRY(change(std::move(made.subscription)));
  roots_ = std::move(roots);
  return {};
}

// The process that `under` names by the client's pid. It may have ended since the client named it,
// for example before the client changed its mask. If the subscription has it already, the processes
// known to be under it still match, also when another process has the pid; otherwise none does.
filter::Root ConnectionFromClient::find_root(int32_t named,
                                             const std::map<int32_t, int32_t>& found) const {
  if (const auto at = roots_.find(named); at != roots_.end()) return at->second;
  const auto at = found.find(named);
  if (at == found.end()) return {.pid = kNoProcess};
  if (const auto stat = read_proc_stat(at->second)) return {at->second, stat->start};
  return {.pid = process_exists(at->second) ? at->second : kNoProcess};
}

// Replaces the client's pids in `under`.
void ConnectionFromClient::set_roots(std::vector<filter::Predicate>& predicates,
                                     const Roots& roots) {
  for (filter::Predicate& one : predicates) {
    if (one.key != filter::Key::kUnder) continue;
    const auto at = roots.find(static_cast<int32_t>(std::get<int64_t>(one.value)));
    const filter::Root root = at == roots.end() ? filter::Root{.pid = kNoProcess} : at->second;
    one.value = int64_t{root.pid};
    one.start = root.start;
  }
}

// Replaces the subscription if the sources can serve the new one; on an error nothing changes.
Result<void> ConnectionFromClient::change(filter::Subscription subscription) {
  const int64_t latency_ns = subscription.latency_ns;
  KNELL_ASSIGN(hub::Hub::Change change, hub_.begin_change(*listener_, std::move(subscription)));
  const bool listened = change.before != nullptr;
  auto grown = daemon_.interest_grown(*listener_);
  if (grown)
    hub_.commit_change(*listener_, std::move(change));
  else
    hub_.undo_change(*listener_, std::move(change));
  if (listened || !grown) daemon_.interest_shrunk();
  if (grown) latency_ns_ = latency_ns;
  return grown;
}

Result<void> ConnectionFromClient::add_one(const wire::AddedProcess& process) {
  // The start time distinguishes this process from a later one with the same pid.
  const bool is_ours = peer_.scope().ns == 0;
  const auto stat = is_ours && process.start == 0 ? read_proc_stat(process.pid) : std::nullopt;
  KNELL_TRY(hub_.add(*listener_, process.pid, stat ? stat->start : process.start));
  // Pids of another namespace are not followed; the hub matches them in each event.
  if (!is_ours) return {};
  auto followed = daemon_.follow(process.pid, process.start);
  // remove() fails if Hub::process_ended() has removed it already.
  if (!followed) std::ignore = hub_.remove(*listener_, process.pid);
  return followed;
}

Result<void> ConnectionFromClient::remove_one(const wire::AddedProcess& process) {
  KNELL_TRY(hub_.remove(*listener_, process.pid));
  if (peer_.scope().ns == 0) daemon_.unfollow(process.pid);
  return {};
}

void ConnectionFromClient::on_pids(const wire::Frame& frame) {
  auto pids = wire::decode_pids(frame.payload);
  if (!pids) return acknowledge(std::unexpected(std::move(pids).error()), frame.seq);
  pending_ = {.what = frame.type, .request = frame.seq, .pids = *std::move(pids)};
  serve_pending();
}

void ConnectionFromClient::serve_pending() {
  Pending& now = *pending_;
  const bool done = now.finished                            ? true
                    : now.what == wire::Message::kSubscribe ? continue_subscribing(now)
                    : now.what == wire::Message::kSnapshot  ? continue_snapshot(now)
                                                            : continue_with_pids(now);
  if (!done) return;
  if (protocol_ == Protocol::kCompat)
    ack_compat(now.first ? 0 : EAGAIN, now.request);
  else
    acknowledge(now.first, now.request);
  pending_.reset();
  saved_.changed = true;
}

bool ConnectionFromClient::continue_subscribing(Pending& now) {
  if (now.subscribing) {
    ScanBudget piece{.left = kPidsAStep};
    if (!peer_.continue_search(now.subscribing->search, piece)) return false;
    now.durable = std::move(now.subscribing->durable);
    now.replaces = listener_->node() != nullptr;
    const bool was_durable = durable_;
    // Before the subscription starts: the events of a durable listener come from the journal only.
    if (now.durable) set_durable(true);
    now.first = subscribe(*std::exchange(now.subscribing, std::nullopt));
    if (!now.first) {
      set_durable(was_durable);
      if (was_durable) end_durable();
      return true;
    }
  }
  if (!continue_scan(now)) return false;
  if (!now.durable) return true;
  if (!now.first) {
    leave_durable();
    return true;
  }
  uses_journal_ = true;
  return await(now, daemon_.attach_durable(*this, *std::exchange(now.durable, std::nullopt)));
}

// Whether the request is finished. If not, finish_durable() continues it.
bool ConnectionFromClient::await(Pending& now, const Result<DaemonInterface::Done>& done) {
  now.waits = done && *done == DaemonInterface::Done::kLater;
  if (now.waits) return false;
  finish_durable(done ? Result<void>() : std::unexpected(done.error()));
  return true;
}

// A listener that could not attach must not stay subscribed.
void ConnectionFromClient::finish_durable(Result<void> outcome) {
  pending_->waits = false;
  pending_->finished = true;
  pending_->first = std::move(outcome);
  if (!pending_->first && pending_->what == wire::Message::kSubscribe) end_durable();
}

void ConnectionFromClient::end_durable() {
  leave_durable();
  hub_.unsubscribe(*listener_);
  daemon_.interest_shrunk();
}

void ConnectionFromClient::leave_durable() {
  if (std::exchange(uses_journal_, false)) daemon_.detach_durable(*this);
  set_durable(false);
}

void ConnectionFromClient::set_durable(bool durable) {
  durable_ = durable;
  if (listener_ != nullptr) listener_->set_durable(durable);
}

Result<void> ConnectionFromClient::check_durable(const wire::Durable&,
                                                 const filter::Subscription& subscription) const {
  if (peer_.scope().ns != 0)
    return say(EOPNOTSUPP,
               "a durable listener must be in the pid namespace of knelld: the journal does not "
               "have the pids of other namespaces");
  if (subscription.stream != filter::Stream::kProcesses)
    return say(EINVAL, "the events of threads (level raw) cannot be durable");
  if (subscription.only_added)
    return say(EINVAL, "a durable listener cannot be limited to added processes (only_added)");
  for (const filter::Predicate& one : subscription.predicates)
    if (one.key == filter::Key::kUnder && !one.excluded)
      return say(EINVAL,
                 "under: a durable listener can only exclude processes (`!PID`): the journal does "
                 "not store "
                 "the ancestors of processes");
  return {};
}

void ConnectionFromClient::on_acknowledge(const wire::Frame& frame) {
  const auto asked = wire::decode_acknowledge(frame.payload);
  if (!asked) return acknowledge(std::unexpected(asked.error()), frame.seq);
  if (!durable_)
    return acknowledge(say(EINVAL, "only a durable listener can acknowledge events"), frame.seq);
  pending_ = {.what = frame.type, .request = frame.seq, .pids = {}};
  if (await(*pending_, daemon_.acknowledge_durable(*this, *asked))) serve_pending();
}

void ConnectionFromClient::on_forget(const wire::Frame& frame) {
  const auto asked = wire::decode_forget(frame.payload);
  if (!asked) return acknowledge(std::unexpected(asked.error()), frame.seq);
  if (peer_.scope().ns != 0)
    return acknowledge(say(EOPNOTSUPP, "durable listeners belong to the pid namespace of knelld"),
                       frame.seq);
  uses_journal_ = true;
  pending_ = {.what = frame.type, .request = frame.seq, .pids = {}};
  if (await(*pending_, daemon_.forget_durable(*this, *asked))) serve_pending();
}

// The CPU time is charged by the thread that reads the journal, see daemon/history_pages.cc.
Result<void> ConnectionFromClient::begin_history(std::string_view payload) {
  KNELL_ASSIGN(wire::History asked, wire::decode_history(payload));
  KNELL_ASSIGN(hub::Filter filter, hub_.make_filter(*listener_, std::move(asked.wanted)));
  asked.wanted = {};
  uses_journal_ = true;
  return daemon_.read_history(*this, asked, std::move(filter));
}

void ConnectionFromClient::on_history(const wire::Frame& frame) {
  pending_ = {.what = frame.type, .request = frame.seq, .pids = {}};
  Result<DaemonInterface::Done> done = DaemonInterface::Done::kLater;
  if (const auto begun = begin_history(frame.payload); !begun)
    done = std::unexpected(begun.error());
  if (await(*pending_, done)) serve_pending();
}

void ConnectionFromClient::finish_history(const Result<std::vector<std::string>>& packets) {
  if (!packets) return finish_durable(std::unexpected(packets.error()));
  size_t bytes = 0;
  for (const std::string& packet : *packets) bytes += packet.size();
  auto room = hub_.may_answer(*listener_, bytes);
  if (room)
    for (const std::string& packet : *packets) answer(packet);
  finish_durable(std::move(room));
}

// The subscription takes effect when the sources have scanned the living processes for it.
bool ConnectionFromClient::continue_scan(Pending& now) {
  using enum DaemonInterface::Scan;
  const bool roots = !listener_->node()->filter.interest.roots.empty();
  const auto scanned = daemon_.scan_live_processes(roots ? kAll : kAllButRoots);
  if (scanned) return *scanned;
  now.first = std::unexpected(scanned.error());
  hub_.unsubscribe(*listener_);
  daemon_.interest_shrunk();
  // The client would wait for the events of the subscription of before. When it connects again, it
  // reports a loss.
  ends_ = now.replaces;
  return true;
}

bool ConnectionFromClient::continue_with_pids(Pending& now) {
  for (size_t i = 0; i < kPidsAStep && now.at < now.pids.size(); ++i) {
    const wire::AddedProcess& process = now.pids[now.at++];
    auto done = now.what == wire::Message::kAdd ? add_one(process) : remove_one(process);
    const int served_before = now.what == wire::Message::kAdd ? EEXIST : ENOENT;
    if (!done && now.repeated && done.error().code == served_before) continue;
    if (!done && now.first) now.first = std::move(done);
  }
  return now.at == now.pids.size();
}

Result<ConnectionFromClient::Listing> ConnectionFromClient::begin_listing(
    std::string_view payload) {
  KNELL_TRY(wire::decode_snapshot_request(payload));
  if (listener_->node() == nullptr)
    return say(EINVAL,
               "snapshot: subscribe first; the snapshot has the predicates of the "
               "subscription");
  KNELL_ASSIGN(auto snapshot, daemon_.begin_snapshot(*listener_));
  return Listing{.snapshot = std::move(snapshot), .answered_ns = system_clock().monotonic_ns()};
}

void ConnectionFromClient::on_snapshot(const wire::Frame& frame) {
  auto listing = begin_listing(frame.payload);
  if (!listing) return acknowledge(std::unexpected(std::move(listing).error()), frame.seq);
  pending_ = {.what = frame.type, .request = frame.seq, .listing = *std::move(listing)};
  serve_pending();
}

bool ConnectionFromClient::continue_snapshot(Pending& now) {
  const auto done = list_some(*now.listing);
  if (done && !*done) return false;
  if (!done) now.first = std::unexpected(done.error());
  std::ignore = hub_.prepare_answer(*listener_, 0);
  return true;
}

// Makes one piece of a snapshot; true: the snapshot is complete.
Result<bool> ConnectionFromClient::list_some(Listing& listing) {
  KNELL_ASSIGN(const Snapshot::Step step, listing.snapshot->step());
  KNELL_TRY(hub_.prepare_answer(*listener_, listing.snapshot->bytes()));
  if (step == Snapshot::Step::kProcess) {
    listing.processes.emplace_back(listing.snapshot->process());
    listing.bytes += listing.processes.back().size();
  }
  const bool end = step == Snapshot::Step::kEnd;
  const bool due = system_clock().monotonic_ns() - listing.answered_ns >= kAliveNs;
  if (listing.bytes >= kFrameBytes || due || (end && !listing.processes.empty()))
    KNELL_TRY(answer_processes(listing));
  return end;
}

Result<void> ConnectionFromClient::answer_processes(Listing& listing) {
  KNELL_TRY(hub_.may_answer(*listener_, listing.bytes));
  size_t sent = 0;
  do {
    std::string packet;
    wire::EventFrame frame(packet, 0, wire::Message::kProcesses);
    while (sent < listing.processes.size() && add_encoded(frame, listing.processes[sent])) ++sent;
    frame.finish();
    answer(packet);
  } while (sent < listing.processes.size());
  listing.processes.clear();
  listing.bytes = 0;
  listing.answered_ns = system_clock().monotonic_ns();
  return {};
}

Result<void> ConnectionFromClient::on_status(std::string_view payload) {
  KNELL_TRY(wire::decode_status_request(payload));
  const std::string json = daemon_.status_json(peer_);
  KNELL_TRY(hub_.may_answer(*listener_, json.size()));
  for (std::string_view rest = json; !rest.empty();) answer(wire::encode_status_text(rest, 0));
  return {};
}

}  // namespace knell::server
