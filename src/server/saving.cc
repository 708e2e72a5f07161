// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What the next daemon needs of a client: see docs/design/restart.md. A record of the client when
// one of its requests changed something, and of each queued item once; what was sent is recorded by
// State::send().
#include <cstring>
#include <utility>

#include "server/connection_from_client.h"

namespace knell::server {
namespace {

static_assert(wire::kMostFrame <= handover::State::kMostPacket);

template <class T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Where the bytes of an item are in the log. An item of many queues is stored once: its mark is the
// epoch of the log (33 bits) and the position (31 bits, in units of 8 bytes).
uint64_t store(handover::State& state, const hub::SharedBytes& bytes) {
  constexpr uint64_t kPositionBits = 31, kMask = (uint64_t{1} << kPositionBits) - 1;
  if (bytes.mark() >> kPositionBits == state.epoch()) return (bytes.mark() & kMask) * 8;
  const uint64_t position = state.append(kSavedBytes, bytes.view());
  bytes.set_mark(state.epoch() << kPositionBits | position / 8);
  return position;
}

}  // namespace

void ConnectionFromClient::keep_in(handover::State* state) { state_ = state; }

// What a durable listener was sent and did not acknowledge is in the journal. It connects again and
// goes on there.
bool ConnectionFromClient::stop_keeping() {
  if (!durable_ || state_ == nullptr) return false;
  state_ = nullptr;
  return true;
}

void ConnectionFromClient::save(bool whole, bool resubscribed,
                                std::span<const hub::Node::AddedChange> added) {
  if (state_ == nullptr) return;
  if (whole || resubscribed || std::exchange(saved_.changed, false)) save_client();
  save_items(whole);
  save_added(whole || resubscribed, added);
}

void ConnectionFromClient::save_client() {
  ClientRecord record{};
  record.id = id_;
  record.since_ns = listener_->identity().since_ns;
  record.latency_ns = latency_ns_;
  record.started_ns = started_ns_;
  record.ns = peer_.scope().ns;
  record.frames = frames_;
  record.protocol = static_cast<uint32_t>(protocol_);
  record.rule = static_cast<uint32_t>(rule_);
  record.overruns = static_cast<uint32_t>(listener_->overruns());
  record.subscribed = ClientRecord::kNothing;
  std::string subscription;
  if (const hub::Node* node = listener_->node(); node != nullptr) {
    const filter::Subscription& now = node->filter.subscription;
    record.mask = now.mask;
    record.subscribed = ClientRecord::kDatagrams;
    if (now.stream != filter::Stream::kDatagrams) {
      filter::Subscription with_predicates = now;
      const auto values = node->filter.predicates.values();
      with_predicates.predicates.assign(values.begin(), values.end());
      for (filter::Predicate& one : with_predicates.predicates) name_root(one);
      auto frame = wire::encode(with_predicates, 0);
      record.subscribed = frame ? ClientRecord::kFrame : ClientRecord::kNothing;
      if (frame) subscription = *std::move(frame);
    }
  }
  if (!pending_) request_.clear();
  const std::string numbers = sequence_numbers_.save();
  record.subscription_bytes = static_cast<uint32_t>(subscription.size());
  record.request_bytes = static_cast<uint32_t>(request_.size());
  record.numbers_bytes = static_cast<uint32_t>(numbers.size());
  record.roots = static_cast<uint32_t>(roots_.size());
  std::string out;
  put(out, record);
  out += subscription + request_ + numbers;
  for (const auto& [named, root] : roots_)
    put(out, RootRecord{.start = root.start, .pid = root.pid, .named = named});
  state_->append(kSavedClient, out);
}

// Undoes set_roots().
void ConnectionFromClient::name_root(filter::Predicate& one) const {
  if (one.key != filter::Key::kUnder) return;
  const filter::Root root{static_cast<int32_t>(std::get<int64_t>(one.value)), one.start};
  for (const auto& [named, known] : roots_)
    if (known == root) one.value = int64_t{named};
}

void ConnectionFromClient::save_items(bool whole) {
  const hub::Queue& queue = listener_->queue();
  const bool anew = whole || queue.rewrites() != saved_.rewrites;
  const size_t count =
      anew ? queue.size() : std::min<size_t>(queue.size(), queue.pushed() - saved_.pushed);
  ItemsRecord record{};
  record.id = id_;
  record.counts = queue.counts();
  record.anew = static_cast<uint32_t>(anew);
  record.count = static_cast<uint32_t>(count);
  static thread_local std::string out;
  out.clear();
  put(out, record);
  for (size_t i = queue.size() - count; i < queue.size(); ++i) {
    const hub::Queue::Item& item = queue[i];
    ItemRecord one{};
    one.position = store(*state_, item.bytes);
    one.bytes = static_cast<uint32_t>(item.bytes.size());
    one.lost = item.lost;
    one.exact = static_cast<uint32_t>(item.exact);
    one.hole = static_cast<uint32_t>(item.hole);
    one.event = static_cast<uint32_t>(item.event);
    put(out, one);
  }
  state_->append(kSavedItems, out);
  saved_.pushed = queue.pushed();
  saved_.rewrites = queue.rewrites();
}

void ConnectionFromClient::save_added(bool whole, std::span<const hub::Node::AddedChange> changes) {
  if (!whole && changes.empty()) return;
  AddedRecord record{.id = id_, .anew = static_cast<uint32_t>(whole), .count = 0};
  std::string out;
  put(out, record);
  if (!whole) {
    for (const hub::Node::AddedChange& change : changes)
      put(out, AddedEntry{.start = change.start,
                          .pid = change.pid,
                          .added = static_cast<uint32_t>(change.added)});
  } else if (listener_->node() != nullptr) {
    const hub::Node& node = *listener_->node();
    for (const auto& [pid, start] : node.replaced)
      put(out, AddedEntry{.start = start, .pid = pid, .added = 1});
    node.added.for_each([&](int32_t pid, uint64_t start) {
      put(out, AddedEntry{.start = start, .pid = pid, .added = 1});
    });
  }
  record.count = static_cast<uint32_t>((out.size() - sizeof record) / sizeof(AddedEntry));
  std::memcpy(out.data(), &record, sizeof record);
  state_->append(kSavedAdded, out);
}

Result<std::unique_ptr<ConnectionFromClient>> ConnectionFromClient::restore(
    UniqueFd socket, Peer peer, hub::Hub& hub, DaemonInterface& daemon, SavedClient saved,
    const handover::State& state, uint32_t requests_per_second) {
  const ClientRecord& record = saved.record;
  if (record.protocol > static_cast<uint32_t>(Protocol::kNative) ||
      record.rule > static_cast<uint32_t>(filter::Rule::kV6))
    return say(EBADMSG, "the stored state is malformed");
  if (record.ns != peer.scope().ns)
    return say(ESTALE, "the client is in another pid namespace than before");
  // The client has held its pid namespace open since then.
  peer.set_since_ns(record.since_ns);
  KNELL_ASSIGN(auto made, create(std::move(socket), std::move(peer), hub, daemon, record.id,
                                 requests_per_second));
  made->protocol_ = static_cast<Protocol>(record.protocol);
  made->rule_ = static_cast<filter::Rule>(record.rule);
  made->latency_ns_ = record.latency_ns;
  made->started_ns_ = record.started_ns;
  made->frames_ = record.frames;
  made->sequence_numbers_ = std::move(saved.numbers);
  made->request_ = std::move(saved.request);
  made->listener_->set_overruns(record.overruns != 0);
  if (record.subscribed == ClientRecord::kFrame) {
    const auto frame = wire::parse_frame(saved.subscription);
    if (!frame || !*frame) return say(EBADMSG, "the stored state is malformed");
    KNELL_ASSIGN(auto subscription, wire::decode_subscribe((*frame)->payload));
    made->roots_ = std::move(saved.roots);
    set_roots(subscription.predicates, made->roots_);
    KNELL_TRY(hub.subscribe(*made->listener_, std::move(subscription)));
  } else if (record.subscribed == ClientRecord::kDatagrams) {
    KNELL_TRY(hub.subscribe(*made->listener_, made->datagrams(record.mask)));
  }
  // The later processes with these pids, which are added after them, move them to Node::replaced.
  for (const auto& [pid, start] : saved.replaced) KNELL_TRY(hub.add(*made->listener_, pid, start));
  for (const auto& [pid, start] : saved.added) {
    KNELL_TRY(hub.add(*made->listener_, pid, start));
    if (made->peer_.scope().ns == 0)
      made->to_follow_.push_back({.pid = pid, .reserved = 0, .start = start});
  }
  std::deque<hub::Queue::Item> items;
  for (const ItemRecord& item : saved.items) {
    const std::string_view bytes = state.at(item.position, item.bytes);
    if (bytes.size() != item.bytes) return say(EBADMSG, "the stored state is malformed");
    items.push_back({.bytes = hub.store(bytes, item.event != 0),
                     .lost = item.lost,
                     .exact = item.exact != 0,
                     .hole = item.hole != 0,
                     .event = item.event != 0});
  }
  hub.restore_queue(*made->listener_, std::move(items), saved.counts);
  return made;
}

void ConnectionFromClient::resume() {
  // ESRCH: it has ended, and its exit is in the kernel's buffer, or was lost with it.
  for (const wire::AddedProcess& process : std::exchange(to_follow_, {}))
    std::ignore = daemon_.follow(process.pid, process.start);
  if (request_.empty()) return;
  const std::string request = request_;
  const auto frame = wire::parse_frame(request);
  if (frame && *frame && (*frame)->type == wire::Message::kSnapshot)
    return acknowledge(say(EAGAIN, "snapshot: knelld was restarted; try again"), (*frame)->seq);
  std::ignore = serve(request);
  if (pending_) pending_->repeated = true;
}

}  // namespace knell::server
