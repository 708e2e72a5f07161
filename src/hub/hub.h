// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "filter/predicates.h"
#include "hub/event_encoder.h"
#include "hub/filter.h"
#include "hub/listener.h"
#include "hub/match_index.h"
#include "hub/published_event.h"
#include "hub/shared_bytes.h"
#include "hub/users.h"

namespace knell::hub {

// The listeners, their subscriptions and their queues. Used by one thread. No call blocks. The cost
// of an event depends on the number of listeners that want it. See hub.cc.
//
//   connect() -> { subscribe() | unsubscribe() | add() | answer() }* -> disconnect()
//   publish() for each event; then for each listener of fresh(): send queue(), call popped()
class Hub {
 public:
  Hub(EventEncoder& encoder, const Quotas& quotas) : encoder_(encoder), quotas_(quotas) {}
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // Whether connect() would succeed after `pending` other connections. Errors: EUSERS.
  Result<void> may_connect(uint32_t uid, PendingConnections pending = {}) const {
    return users_.may_enter(uid, quotas_, pending);
  }
  uint32_t owner_of(uint32_t uid) const { return users_.owner_of(uid); }
  // Whether the quotas allow a user who uses this much to replace `less` by `more`. Errors: EDQUOT,
  // ENOSPC, with a message for the user.
  Result<void> may_claim(const Users::Account& used, Users::Claim less, Users::Claim more) const {
    return users_.may_claim(used, less, more, quotas_);
  }
  Result<Listener*> connect(const Listener::Identity& identity, void* owner);
  void disconnect(Listener* listener);  // destroys it
  // Removes up to `most` items from the front of its queue. Returns whether the queue is empty now.
  // Call it before disconnect() to free a long queue in pieces.
  bool drop_some(Listener& listener, size_t most);
  // Removes up to `most` of the processes that were added to subscriptions that no longer exist.
  // Calls visit(pid) for each process of the initial pid namespace that no subscription has added
  // any more. Returns whether none is left to remove.
  template <class F>
  bool remove_abandoned_added(size_t most, F visit) {
    while (most > 0 && !abandoned_nodes_.empty()) {
      Node& node = *abandoned_nodes_.back();
      const size_t count = std::min(most, node.added.size());
      node.added.sweep(count, [&](int32_t pid, uint64_t) {
        unindex_added(node, pid);
        if (node.filter.scope.ns == 0 && !is_added(pid)) visit(pid);
        return true;
      });
      most -= count;
      if (node.added.empty()) abandoned_nodes_.pop_back();
    }
    return abandoned_nodes_.empty();
  }

  // Replaces the listener's subscription. Queued events stay. Errors, which change nothing: EINVAL
  // of predicates; EDQUOT, ENOSPC; E2BIG another stream, with more than 1024 processes added.
  Result<void> subscribe(Listener& listener, Subscription subscription);
  // subscribe() in two steps, for a caller that must ask the sources in between. After
  // begin_change() interests() has both the old and the new subscription. Until commit_change() or
  // undo_change() no other call may name this listener.
  struct Change {
    Node* before = nullptr;
    std::unique_ptr<Filter> filter;  // the old filter of `before`, if that node got a new filter
    Users::Claim claim;              // the old claim, as `stream` is the old stream
    Stream stream = Stream::kProcesses;
  };
  // Whether the number of predicate values alone is within the quotas. Errors: EDQUOT.
  Result<void> may_subscribe(const Listener& listener, const Subscription& subscription) const;
  // The filter of a subscription, if it is within the quotas. Errors: EINVAL, EDQUOT, ENOSPC.
  Result<Filter> make_filter(const Listener& listener, Subscription subscription) const;
  Result<Change> begin_change(Listener& listener, Subscription subscription);
  void commit_change(Listener& listener, Change change);
  void undo_change(Listener& listener, Change change);
  void unsubscribe(Listener& listener);
  // Adds a process to a subscription with only_added, or removes it. `pid`: in the listener's pid
  // namespace. `start`: start time of the process, in clock ticks since boot; 0: any process with
  // that pid. If the pid is that of another process that was added, with another start, both are
  // reported; remove() removes the later one. Errors of add(): EINVAL, EEXIST, EDQUOT; of remove():
  // ENOENT.
  Result<void> add(Listener& listener, int32_t pid, uint64_t start);
  Result<void> remove(Listener& listener, int32_t pid);

  // Queues the event for each listener that wants it. A LOST event goes to each listener of the
  // stream that may have missed one of the lost events.
  void publish(const PublishedEvent& published, const filter::Ancestry& ancestry);
  // A process has ended: removes it from the subscriptions to `stream` that added it. `pid` and
  // `levels`: its pid in the initial namespace and in those below. Call it after publishing the
  // exit.
  void process_ended(Stream stream, int32_t pid, uint64_t start,
                     std::span<const event::NamespacePids> levels);

  // Queues an ack for all listeners that receive everything, except `requester`, which gets it by
  // answer().
  void publish_ack(const PublishedEvent& published, const Listener& requester);
  // Queues an answer, which is never dropped. The caller limits the waiting answers: before a long
  // answer it calls may_answer().
  void answer(Listener& listener, std::string_view packet);
  // Errors: too many bytes of answers wait: EDQUOT: of this user, ENOBUFS: of all users.
  Result<void> may_answer(const Listener& listener, size_t bytes) const;
  // Charges the memory of an answer that is being prepared for the listener; 0: the answer is
  // finished. Charged like an unread answer. Errors: as may_answer(); then nothing is charged.
  Result<void> prepare_answer(Listener& listener, size_t bytes);
  // Removes the first `count` items of the queue, after they were sent.
  void popped(Listener& listener, size_t count);
  // Calls visit(listener) for each listener with items queued since the last call. visit() must not
  // disconnect a listener.
  template <class F>
  void fresh(F visit) {
    std::vector<Listener*> now;
    now.swap(fresh_);
    for (Listener* listener : now) {
      report_due_hole(*listener);  // reports losses even if no further event comes
      listener->fresh_ = false;
      visit(*listener);
    }
    if (fresh_.empty()) {
      now.clear();
      fresh_.swap(now);  // keeps its memory
    }
  }

  // From now on the hub records changes for changed().
  void track_changes() { tracks_changes_ = true; }
  // Marks the listener as changed.
  void touch(Listener& listener) { mark_changed(listener); }
  // Calls visit(listener, resubscribed, added) for each listener whose queue, subscription or added
  // processes have changed since the last call. Removals from the front of a queue do not count.
  // `added`: the changes of the added processes of the current subscription, in their order.
  template <class F>
  void changed(F visit) {
    for (Listener* listener : std::exchange(changed_, {})) {
      listener->changed_ = false;
      const bool resubscribed = std::exchange(listener->resubscribed_, false);
      std::vector<Node::AddedChange> added;
      if (listener->node_ != nullptr) added.swap(listener->node_->unsaved);
      visit(*listener, resubscribed, added);
    }
  }
  // Restores the queue of a listener that was just connected.
  void restore_queue(Listener& listener, std::deque<Queue::Item> items,
                     const Queue::Counts& counts);
  // Stores the bytes of an item of such a queue.
  SharedBytes store(std::string_view bytes, bool event) {
    return (event ? store_ : answer_store_).copy(bytes);
  }

  std::vector<filter::Interest> interests(Stream stream) const;
  // Whether a subscription has added this process of the initial pid namespace.
  bool is_added(int32_t pid) const;
  // Whether any listener is subscribed to this stream.
  bool has_listeners(Stream stream) const {
    return scope_counts_[static_cast<size_t>(stream)].nodes != 0;
  }
  // Whether some listener to this stream may see only one user, or only one pid namespace.
  bool has_user_scopes(Stream stream) const {
    return scope_counts_[static_cast<size_t>(stream)].user_scopes != 0;
  }
  bool has_namespace_scopes(Stream stream) const {
    return scope_counts_[static_cast<size_t>(stream)].namespace_scopes != 0;
  }

  void set_quotas(const Quotas& quotas);
  void set_subordinate_uids(SubordinateUids uids) { users_.set_subordinate_uids(std::move(uids)); }
  const Quotas& quotas() const { return quotas_; }
  const Users& users() const { return users_; }
  // Memory of all queues; bytes that several queues share are counted once.
  size_t bytes() const { return event_bytes() + answer_bytes(); }
  size_t nodes() const { return nodes_.size(); }
  struct Counters {
    uint64_t published = 0, delivered = 0, lost = 0, withheld_uid = 0, withheld_level = 0;
  };
  const Counters& counters() const { return counters_; }
  bool is_empty_for_testing() const;  // whether no data of any subscription is left

 private:
  struct ScopeCounts {
    uint32_t nodes = 0, user_scopes = 0, namespace_scopes = 0;
  };
  class EncodingCache;

  MatchIndex& index(Stream stream) { return indexes_[static_cast<size_t>(stream)]; }
  Node* find_or_add_node(Filter filter);
  void count_scope(const Node& node, int by);
  void leave_node(Listener& listener);
  void release_node(Listener& listener, Node* node);
  Result<Change> change_filter(Listener& listener, Filter filter);
  void swap_filter(Node& node, Filter& other);
  void publish_lost(const PublishedEvent& published);
  static bool was_replaced(const Node& node, int32_t pid, uint64_t start);
  static bool passes(const Node& node, const knell_event* event, const filter::Ancestry& ancestry);
  void deliver(Listener& listener, const SharedBytes& bytes, uint64_t stamp_ns, uint64_t lost = 0);
  size_t event_bytes() const { return store_.bytes() + (items_ - answers_) * sizeof(Queue::Item); }
  size_t answer_bytes() const {
    return answer_store_.bytes() + answers_ * sizeof(Queue::Item) + preparing_bytes_;
  }
  bool is_memory_tight(const Listener& listener) const;
  void report_due_hole(Listener& listener);
  void shed();
  template <class F>
  void update_queue(Listener& listener, F change);
  SharedBytes lost_bytes(const Listener& listener, const Queue::Hole& hole);
  void mark_fresh(Listener& listener);
  void mark_changed(Listener& listener);
  void mark_resubscribed(Listener& listener);
  void note_added(Node& node, int32_t pid, uint64_t start, bool added);
  void move_added(Node& before, Node& node);
  void insert_added(Node& node, int32_t pid, uint64_t start);
  void unindex_added(Node& node, int32_t pid);
  void erase_added(Node& node, int32_t pid);
  void keep_one_added(Node& node, int32_t pid, uint64_t start);
  void remove_ended(Stream stream, uint32_t ns, int32_t pid, uint64_t start);

  EventEncoder& encoder_;
  Quotas quotas_;
  ByteStore store_, answer_store_;
  Users users_;
  std::unordered_map<std::string, std::unique_ptr<Node>> nodes_;
  std::unordered_map<const Listener*, std::unique_ptr<Listener>> listeners_;
  std::array<MatchIndex, kStreams> indexes_;
  std::array<ScopeCounts, kStreams> scope_counts_;
  // Nodes without listeners that still have added processes; see remove_abandoned_added().
  std::vector<std::unique_ptr<Node>> abandoned_nodes_;
  std::unordered_map<uint64_t, std::vector<Node*>> adders_;  // by pid in its namespace
  std::vector<Listener*> fresh_, changed_;
  bool tracks_changes_ = false;
  Counters counters_;
  size_t items_ = 0, answers_ = 0;  // in all queues; items_ includes answers_
  size_t preparing_bytes_ = 0;      // total of prepare_answer() for all listeners
  uint64_t unshared_nodes_ =
      0;  // number of nodes with added processes so far; makes their keys unique
  int64_t epoch_ns_ = 0;
};

}  // namespace knell::hub
