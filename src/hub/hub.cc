// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// An event is looked up in the index of its stream, which returns the nodes that may want it. A
// node is a filter with all the listeners that have it, which tests the event once for all of them.
// The event is encoded when the first listener wants it in some form (pids, details, hidden
// fields), and the encoding is kept for the others; the queues hold references to these bytes. So a
// hundred listeners with equal filters cost one test, one encoding and a hundred references, and a
// thousand listeners that want other events cost nothing. A LOST event is the exception: it is
// compared with every node.
//
// Nothing blocks. A listener whose queue is full loses events, and gets a LOST event for its own
// losses only. When all queues together exceed `memory_bytes`, the longest queues are emptied, each
// into one LOST event; short queues of fast listeners are not changed. Answers have separate
// limits: no event is dropped to make room for an answer.
#include "hub/hub.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "event/mask.h"
#include "event/visibility.h"

namespace knell::hub {
namespace {

// The maximum number of added processes with which a listener may change its stream; chosen,
// not measured.
constexpr size_t kMostMoved = 1024;

uint64_t adder_key(uint32_t ns, int32_t pid) {
  return static_cast<uint64_t>(ns) << 32 | static_cast<uint32_t>(pid);
}

// The parts of the event that this listener may not see: bits of event::Hidden.
uint32_t hidden_from(const Scope& scope, const knell_event& event) {
  return scope.every_user ? 0 : event::hidden_from_user(event, scope.uid);
}

knell_event without(uint32_t hidden, const knell_event& event) {
  knell_event rest = event;
  event::hide(rest, hidden);
  return rest;
}

}  // namespace

Hub::~Hub() {
  for (auto& [key, listener] : listeners_) listener->queue_.clear();
}

Result<Listener*> Hub::connect(const Listener::Identity& identity, void* owner) {
  KNELL_ASSIGN(Users::Account* const account, users_.enter(identity.uid, quotas_));
  std::unique_ptr<Listener> made(new Listener(identity, quotas_.queue_bytes, owner));
  made->account_ = account;
  Listener* listener = made.get();
  listeners_.emplace(listener, std::move(made));
  return listener;
}

void Hub::disconnect(Listener* listener) {
  unsubscribe(*listener);
  if (listener->fresh_) std::erase(fresh_, listener);
  if (listener->changed_) std::erase(changed_, listener);
  update_queue(*listener, [](Queue& queue) { queue.clear(); });
  std::ignore = prepare_answer(*listener, 0);
  users_.leave(*listener->account_);
  listeners_.erase(listener);
}

bool Hub::drop_some(Listener& listener, size_t most) {
  const size_t count = std::min(most, listener.queue_.size());
  update_queue(listener, [&](Queue& queue) { queue.pop(count); });
  return listener.queue_.empty();
}

void Hub::count_scope(const Node& node, int by) {
  ScopeCounts& counts = scope_counts_[static_cast<size_t>(node.filter.subscription.stream)];
  const Scope& scope = node.filter.scope;
  counts.nodes += static_cast<uint32_t>(by);
  if (!scope.every_user) counts.user_scopes += static_cast<uint32_t>(by);
  if (scope.ns != 0) counts.namespace_scopes += static_cast<uint32_t>(by);
}

Node* Hub::find_or_add_node(Filter filter) {
  // A node with added processes is never shared.
  if (filter.subscription.only_added) filter.key += " " + std::to_string(++unshared_nodes_);
  auto [at, made] = nodes_.try_emplace(filter.key);
  if (made) {
    at->second = std::make_unique<Node>();
    Node& node = *at->second;
    node.filter = std::move(filter);
    index(node.filter.subscription.stream).insert(&node);
    count_scope(node, 1);
  }
  return at->second.get();
}

void Hub::leave_node(Listener& listener) {
  Node* const node = std::exchange(listener.node_, nullptr);
  if (node == nullptr) return;
  std::erase(node->listeners, &listener);
  release_node(listener, node);
}

// Removes the node if `listener` was its last listener. Its added processes are removed by
// remove_abandoned_added().
void Hub::release_node(Listener& listener, Node* node) {
  if (!node->listeners.empty()) return;
  users_.release_added(*listener.account_, node->added.size());
  if (!MatchIndex::is_by_added(*node)) index(node->filter.subscription.stream).erase(node);
  count_scope(*node, -1);
  auto taken = nodes_.extract(std::string(node->filter.key));
  if (!node->added.empty()) abandoned_nodes_.push_back(std::move(taken.mapped()));
}

void Hub::unsubscribe(Listener& listener) {
  if (listener.node_ != nullptr) mark_resubscribed(listener);
  users_.force_claim(*listener.account_, std::exchange(listener.claim_, {}), {});
  leave_node(listener);
}

Result<void> Hub::subscribe(Listener& listener, Subscription subscription) {
  KNELL_ASSIGN(Change change, begin_change(listener, std::move(subscription)));
  commit_change(listener, std::move(change));
  return {};
}

Result<void> Hub::may_subscribe(const Listener& listener, const Subscription& subscription) const {
  const Users::Claim least{.values = Filter::values_of(subscription)};
  return users_.may_claim(*listener.account_, listener.claim_, least, quotas_);
}

Result<Filter> Hub::make_filter(const Listener& listener, Subscription subscription) const {
  // Too many values are refused before they are compiled.
  KNELL_TRY(may_subscribe(listener, subscription));
  KNELL_ASSIGN(Filter filter, Filter::create(std::move(subscription), listener.identity_.scope));
  KNELL_TRY(users_.may_claim(*listener.account_, listener.claim_, filter.claim, quotas_));
  return filter;
}

Result<Hub::Change> Hub::begin_change(Listener& listener, Subscription subscription) {
  KNELL_ASSIGN(Filter filter, make_filter(listener, std::move(subscription)));
  return change_filter(listener, std::move(filter));
}

Result<Hub::Change> Hub::change_filter(Listener& listener, Filter filter) {
  const Stream stream = filter.subscription.stream;
  const Users::Claim claim = filter.claim;
  Node* const before = listener.node_;
  Change change{
      .before = before, .filter = {}, .claim = listener.claim_, .stream = listener.stream_};
  const bool keeps_added =
      before != nullptr && before->filter.subscription.only_added && filter.subscription.only_added;
  const bool moves = keeps_added && before->filter.subscription.stream != stream;
  if (moves && before->added.size() > kMostMoved)
    return say(E2BIG, "the level cannot be changed with more than " + std::to_string(kMostMoved) +
                          " processes added");
  users_.force_claim(*listener.account_, listener.claim_, claim);
  listener.claim_ = claim;
  listener.stream_ = stream;
  if (keeps_added && !moves) {
    // The node has no other listener: only its filter changes, the added processes stay.
    filter.key = before->filter.key;
    change.filter = std::make_unique<Filter>(std::move(filter));
    swap_filter(*before, *change.filter);
    return change;
  }
  Node* const node = find_or_add_node(std::move(filter));
  if (node == before) return change;
  node->listeners.push_back(&listener);
  if (before != nullptr) std::erase(before->listeners, &listener);
  listener.node_ = node;
  return change;
}

void Hub::swap_filter(Node& node, Filter& other) {
  MatchIndex& in = index(node.filter.subscription.stream);
  const bool is_indexed = !MatchIndex::is_by_added(node);
  if (is_indexed) in.erase(&node);
  std::swap(node.filter, other);
  if (is_indexed) in.insert(&node);
}

void Hub::commit_change(Listener& listener, Change change) {
  mark_resubscribed(listener);
  if (change.before == nullptr || change.before == listener.node_) return;
  move_added(*change.before, *listener.node_);
  release_node(listener, change.before);
}

void Hub::undo_change(Listener& listener, Change change) {
  users_.force_claim(*listener.account_, std::exchange(listener.claim_, change.claim),
                     change.claim);
  listener.stream_ = change.stream;
  if (change.filter != nullptr) return swap_filter(*change.before, *change.filter);
  if (change.before == listener.node_) return;
  leave_node(listener);
  listener.node_ = change.before;
  if (change.before != nullptr) change.before->listeners.push_back(&listener);
}

// Moves the added processes from the old node to the new one, which is of another stream.
void Hub::move_added(Node& before, Node& node) {
  if (!before.filter.subscription.only_added || !node.filter.subscription.only_added) return;
  before.added.for_each([&](int32_t pid, uint64_t start) { insert_added(node, pid, start); });
  before.added.for_each([&](int32_t pid, uint64_t) { unindex_added(before, pid); });
  before.added = {};
  node.replaced = std::exchange(before.replaced, {});
}

void Hub::insert_added(Node& node, int32_t pid, uint64_t start) {
  *node.added.emplace(pid).first = start;
  adders_[adder_key(node.filter.scope.ns, pid)].push_back(&node);
  index(node.filter.subscription.stream).insert_pid(&node, pid);
  note_added(node, pid, start, true);
}

Result<void> Hub::add(Listener& listener, int32_t pid, uint64_t start) {
  Node* node = listener.node_;
  if (node == nullptr || !node->filter.subscription.only_added)
    return say(EINVAL, "a process can be added only to a subscription with only_added");
  if (pid <= 0) return say(EINVAL, "a process id must be above 0, not " + std::to_string(pid));
  if (uint64_t* since = node->added.find(pid)) {
    if (*since == 0 || start == 0 || *since == start)
      return say(EEXIST, "process " + std::to_string(pid) + " was already added to this listener");
    // Another process has the pid: the one before has ended.
    node->replaced[pid] = std::exchange(*since, start);
    note_added(*node, pid, start, true);
    return {};
  }
  KNELL_TRY(users_.claim_added(*listener.account_, quotas_));
  insert_added(*node, pid, start);
  return {};
}

void Hub::unindex_added(Node& node, int32_t pid) {
  const auto found = adders_.find(adder_key(node.filter.scope.ns, pid));
  if (found != adders_.end()) {
    std::erase(found->second, &node);
    if (found->second.empty()) adders_.erase(found);
  }
  index(node.filter.subscription.stream).erase_pid(&node, pid);
}

// Removes a process from `added`; no earlier one with its pid is in `replaced`.
void Hub::erase_added(Node& node, int32_t pid) {
  node.added.erase(pid);
  if (!node.listeners.empty()) users_.release_added(*node.listeners.front()->account_, 1);
  unindex_added(node, pid);
  note_added(node, pid, 0, false);
}

// Of two processes with one pid only the one with `start` stays.
void Hub::keep_one_added(Node& node, int32_t pid, uint64_t start) {
  *node.added.find(pid) = start;
  node.replaced.erase(pid);
  note_added(node, pid, 0, false);
  note_added(node, pid, start, true);
}

Result<void> Hub::remove(Listener& listener, int32_t pid) {
  Node* node = listener.node_;
  if (node == nullptr || node->added.find(pid) == nullptr)
    return say(ENOENT, "process " + std::to_string(pid) + " was not added to this listener");
  if (const auto before = node->replaced.find(pid); before != node->replaced.end())
    keep_one_added(*node, pid, before->second);
  else
    erase_added(*node, pid);
  return {};
}

void Hub::process_ended(Stream stream, int32_t pid, uint64_t start,
                        std::span<const event::NamespacePids> levels) {
  if (adders_.empty()) return;
  remove_ended(stream, 0, pid, start);
  for (const event::NamespacePids& level : levels) remove_ended(stream, level.ns, level.pid, start);
}

bool Hub::is_added(int32_t pid) const { return adders_.contains(adder_key(0, pid)); }

// Whether the process was added before another one with the same pid.
bool Hub::was_replaced(const Node& node, int32_t pid, uint64_t start) {
  const auto before = node.replaced.find(pid);
  return before != node.replaced.end() && before->second == start;
}

// Skips an earlier process that had the same pid and was not added, and nodes of other streams:
// their exit is not published yet.
void Hub::remove_ended(Stream stream, uint32_t ns, int32_t pid, uint64_t start) {
  const auto found = adders_.find(adder_key(ns, pid));
  if (found == adders_.end()) return;
  for (Node* node : std::vector<Node*>(found->second)) {
    if (node->filter.subscription.stream != stream) continue;
    const uint64_t* since = node->added.find(pid);
    if (since == nullptr) continue;
    const auto before = node->replaced.find(pid);
    if (before != node->replaced.end() && (start == 0 || before->second == start)) {
      keep_one_added(*node, pid, *since);
      continue;
    }
    if (*since != 0 && start != 0 && *since != start) continue;
    node->replaced.erase(pid);
    erase_added(*node, pid);
  }
}

// The encodings of one event in the forms that listeners want. Keeps the first 8 forms; any other
// is encoded again for each node.
class Hub::EncodingCache {
 public:
  EncodingCache(Hub& hub, const PublishedEvent& published) : hub_(hub), published_(published) {}

  // The event with the pids of the namespace of `level`; nullptr: the initial one.
  const knell_event* event(const event::NamespacePids* level) {
    if (published_.event == nullptr || level == nullptr) return published_.event;
    if (level != level_) translated_ = event::translate(*published_.event, *level);
    level_ = level;
    return &translated_;
  }

  // Empty: the pid of the event's process in that namespace is unknown.
  SharedBytes bytes(const event::NamespacePids* level, uint32_t details, const Scope& scope) {
    const knell_event* translated = event(level);
    // Tested with the untranslated ids, since the translation may remove them.
    const uint32_t hidden = translated == nullptr ? 0 : hidden_from(scope, *published_.event);
    for (size_t i = 0; i < used_; ++i) {
      const Form& form = forms_[i];
      if (form.level == level && form.details == details && form.hidden == hidden)
        return form.bytes;
    }
    const std::string_view made = published_.raw != nullptr ? datagram(level)
                                  : hidden != 0
                                      ? hub_.encoder_.event(without(hidden, *translated), details)
                                      : hub_.encoder_.event(*translated, details);
    SharedBytes bytes = made.empty() ? SharedBytes() : hub_.store_.copy(made);
    if (used_ < forms_.size()) forms_[used_++] = {level, details, hidden, bytes};
    return bytes;
  }

 private:
  std::string_view datagram(const event::NamespacePids* level) {
    if (level == nullptr) return hub_.encoder_.datagram(*published_.raw);
    if (level->pid == 0 || level->tid == 0) return {};
    return hub_.encoder_.datagram(event::translate(*published_.raw, *level));
  }

  struct Form {
    const event::NamespacePids* level = nullptr;
    uint32_t details = 0;
    uint32_t hidden = 0;  // event::Hidden
    SharedBytes bytes;
  };
  Hub& hub_;
  const PublishedEvent& published_;
  const event::NamespacePids* level_ = nullptr;
  knell_event translated_;
  std::array<Form, 8> forms_;
  size_t used_ = 0;
};

bool Hub::passes(const Node& node, const knell_event* event, const filter::Ancestry& ancestry) {
  const Filter& filter = node.filter;
  // a datagram: match() of the index has already checked its type
  if (event == nullptr) return true;
  if ((event->flags & KNELL_FLAG_RECOVERED) != 0 && !filter.subscription.recover) return false;
  if (filter.subscription.only_added) {
    const uint64_t* since = node.added.find(event->pid);
    if (since == nullptr) return false;
    if (*since != 0 && event->id.kind == KNELL_ID_START && event->id.start != *since &&
        !was_replaced(node, event->pid, event->id.start))
      return false;
  }
  return filter.predicates.matches(*event, ancestry);
}

void Hub::publish(const PublishedEvent& published, const filter::Ancestry& ancestry) {
  ++counters_.published;
  if (published.event != nullptr)
    epoch_ns_ = static_cast<int64_t>(static_cast<uint64_t>(published.event->time_ns) -
                                     published.event->mono_ns);
  if (published.type == KNELL_EVENT_LOST) return publish_lost(published);
  EncodingCache encodings(*this, published);
  MatchIndex& in = index(published.stream);
  in.match(published, [&](Node* node, const event::NamespacePids* level) {
    if (!passes(*node, encodings.event(level), ancestry)) return;
    const SharedBytes bytes =
        encodings.bytes(level, node->filter.subscription.details, node->filter.scope);
    if (bytes.empty()) {
      ++counters_.withheld_level;
      return;
    }
    for (Listener* listener : node->listeners)
      if (published.stamp_ns >= listener->identity_.since_ns && !listener->durable_)
        deliver(*listener, bytes, published.stamp_ns);
  });
  counters_.withheld_uid += in.unknown().uid ? 1 : 0;
  counters_.withheld_level += in.unknown().levels ? 1 : 0;
}

// A loss at the source is reported to every listener of the stream that wants one of its types.
// Which of the lost events match a listener is unknown, so the count is an upper bound.
void Hub::publish_lost(const PublishedEvent& published) {
  for (auto& [key, node] : nodes_) {
    const Filter& filter = node->filter;
    const uint32_t types =
        event::types_of(filter.subscription.mask) & event::types_of(filter.interest.possible);
    if (filter.subscription.stream != published.stream) continue;
    if (published.event == nullptr || (types & event::types_of(published.event->lost_types)) == 0)
      continue;
    knell_event event = *published.event;
    event.lost_types = types;
    event.flags &= ~KNELL_FLAG_EXACT;
    const bool datagrams = published.stream == Stream::kDatagrams;
    SharedBytes bytes;
    for (Listener* listener : node->listeners) {
      if (listener->durable_ || (datagrams && !listener->overruns_)) continue;
      if (bytes.empty())
        bytes = store_.copy(datagrams ? encoder_.overrun(std::max<uint64_t>(event.lost_count, 1))
                                      : encoder_.event(event, KNELL_DETAILS_STATUS));
      deliver(*listener, bytes, published.stamp_ns, std::max<uint64_t>(event.lost_count, 1));
    }
  }
}

SharedBytes Hub::lost_bytes(const Listener& listener, const Queue::Hole& hole) {
  if (listener.stream_ == Stream::kDatagrams)
    return listener.overruns_ ? store_.copy(encoder_.overrun(hole.count)) : SharedBytes();
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.flags = hole.exact ? KNELL_FLAG_EXACT : 0;
  lost.has = KNELL_HAS_COUNT;
  lost.mono_ns = hole.until_ns;
  lost.time_ns = static_cast<int64_t>(hole.until_ns) + epoch_ns_;
  lost.lost_count = hole.count;
  lost.lost_types =
      listener.node_ == nullptr ? 0 : event::types_of(listener.node_->filter.subscription.mask);
  lost.lost_from_ns = hole.from_ns;
  lost.lost_until_ns = hole.until_ns;
  lost.lost_from_time_ns = static_cast<int64_t>(hole.from_ns) + epoch_ns_;
  lost.lost_until_time_ns = lost.time_ns;
  return store_.copy(encoder_.event(lost, KNELL_DETAILS_STATUS));
}

// Changes a queue, then updates the sums over all queues and those of the user's account.
template <class F>
void Hub::update_queue(Listener& listener, F change) {
  Queue& queue = listener.queue_;
  const size_t bytes = queue.bytes(), answer_bytes = queue.answer_bytes();
  const size_t items = queue.size(), answers = queue.answers();
  change(queue);
  // A decrease wraps around, which is correct in unsigned arithmetic.
  listener.account_->bytes += queue.bytes() - bytes;
  listener.account_->answer_bytes += queue.answer_bytes() - answer_bytes;
  items_ += queue.size() - items;
  answers_ += queue.answers() - answers;
}

void Hub::restore_queue(Listener& listener, std::deque<Queue::Item> items,
                        const Queue::Counts& counts) {
  update_queue(listener, [&](Queue& queue) { queue.restore(std::move(items), counts); });
  mark_fresh(listener);
}

bool Hub::is_memory_tight(const Listener& listener) const {
  return !listener.account_->is_root() && listener.account_->bytes > quotas_.user_bytes;
}

// Queues the LOST event for lost events once there is room for it.
void Hub::report_due_hole(Listener& listener) {
  if (!listener.queue_.hole_due(is_memory_tight(listener))) return;
  update_queue(listener,
               [&](Queue& queue) { queue.push_lost(lost_bytes(listener, queue.hole())); });
  mark_fresh(listener);
}

void Hub::deliver(Listener& listener, const SharedBytes& bytes, uint64_t stamp_ns, uint64_t lost) {
  report_due_hole(listener);
  const bool is_tight = is_memory_tight(listener);
  update_queue(listener, [&](Queue& queue) {
    if (queue.push_event(bytes, stamp_ns, is_tight, lost) == Queue::Push::kQueued) {
      ++counters_.delivered;
      mark_fresh(listener);
    } else {
      ++counters_.lost;
      mark_changed(listener);
      // fresh() then reports the lost events, even if the client reads nothing more.
      if (queue.hole_due(is_tight)) mark_fresh(listener);
    }
  });
  if (event_bytes() > quotas_.memory_bytes) shed();
}

// Empties the longest queues until the memory is below its limit. Bytes that are shared with other
// queues are not freed, so several queues may have to be emptied. A queue below half of an even
// share is never emptied.
void Hub::shed() {
  const size_t spared = quotas_.memory_bytes / listeners_.size() / 2;
  while (event_bytes() > quotas_.memory_bytes) {
    Listener* longest = nullptr;
    size_t most = spared;
    for (auto& [key, listener] : listeners_) {
      const Queue& queue = listener->queue_;
      const size_t size = queue.bytes() - queue.answer_bytes();
      if (size > most) longest = listener.get(), most = size;
    }
    if (longest == nullptr) return;
    update_queue(*longest, [&](Queue& queue) {
      const size_t gone = queue.shed();
      counters_.delivered -= gone;
      counters_.lost += gone;
    });
    mark_fresh(*longest);
  }
}

void Hub::publish_ack(const PublishedEvent& published, const Listener& requester) {
  EncodingCache encodings(*this, published);
  index(published.stream).match(published, [&](Node* node, const event::NamespacePids*) {
    for (Listener* listener : node->listeners)
      if (listener != &requester)
        deliver(*listener, encodings.bytes(nullptr, KNELL_DETAILS_STATUS, node->filter.scope),
                published.stamp_ns);
  });
}

void Hub::answer(Listener& listener, std::string_view packet) {
  update_queue(listener, [&](Queue& queue) { queue.push_answer(answer_store_.copy(packet)); });
  mark_fresh(listener);
}

Result<void> Hub::may_answer(const Listener& listener, size_t bytes) const {
  return Users::may_queue_answer(*listener.account_, bytes, answer_bytes(), quotas_);
}

Result<void> Hub::prepare_answer(Listener& listener, size_t bytes) {
  // A decrease wraps around, which is correct in unsigned arithmetic.
  const auto charge = [&](size_t more) {
    listener.preparing_bytes_ += more;
    listener.account_->answer_bytes += more;
    preparing_bytes_ += more;
  };
  charge(0 - listener.preparing_bytes_);
  if (bytes == 0) return {};
  KNELL_TRY(may_answer(listener, bytes));
  charge(bytes);
  return {};
}

void Hub::popped(Listener& listener, size_t count) {
  update_queue(listener, [&](Queue& queue) { queue.pop(count); });
  report_due_hole(listener);
}

void Hub::mark_changed(Listener& listener) {
  if (!tracks_changes_ || std::exchange(listener.changed_, true)) return;
  changed_.push_back(&listener);
}

void Hub::mark_resubscribed(Listener& listener) {
  if (!tracks_changes_) return;
  listener.resubscribed_ = true;
  mark_changed(listener);
}

// Only a node with one listener has added processes.
void Hub::note_added(Node& node, int32_t pid, uint64_t start, bool added) {
  if (!tracks_changes_ || node.listeners.empty()) return;
  node.unsaved.push_back({.pid = pid, .added = added, .start = start});
  mark_changed(*node.listeners.front());
}

void Hub::mark_fresh(Listener& listener) {
  mark_changed(listener);
  if (std::exchange(listener.fresh_, true)) return;
  fresh_.push_back(&listener);
}

std::vector<filter::Interest> Hub::interests(Stream stream) const {
  std::vector<filter::Interest> all;
  for (const auto& [key, node] : nodes_) {
    if (node->filter.subscription.stream == stream) all.push_back(node->filter.interest);
  }
  return all;
}

bool Hub::is_empty_for_testing() const {
  return abandoned_nodes_.empty() && adders_.empty() &&
         std::ranges::all_of(indexes_, &MatchIndex::empty) &&
         std::ranges::all_of(scope_counts_, [](const ScopeCounts& counts) {
           return counts.nodes == 0 && counts.user_scopes == 0 && counts.namespace_scopes == 0;
         });
}

void Hub::set_quotas(const Quotas& quotas) {
  quotas_ = quotas;
  for (auto& [key, listener] : listeners_) listener->queue_.set_bound(quotas.queue_bytes);
}

}  // namespace knell::hub
