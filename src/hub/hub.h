// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "filter/predicates.h"
#include "hub/bytes.h"
#include "hub/event_encoder.h"
#include "hub/listener.h"
#include "hub/match_index.h"
#include "hub/published_event.h"
#include "hub/subscription.h"
#include "hub/users.h"

namespace knell::hub {

// Who listens, to what, and what waits for each. One thread; nothing here ever waits, and what an
// event costs follows those who want it. See hub.cc.
//
//   connect() -> { subscribe() | unsubscribe() | add() | answer() }* -> disconnect()
//   publish(), for each event; then for each of fresh(): queue(), and popped() what was sent
class Hub {
 public:
  Hub(EventEncoder& encoder, const Limits& limits) : encoder_(encoder), limits_(limits) {}
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // Whether connect() would be granted, after so many others. Errors: EUSERS.
  Result<void> may_connect(uint32_t uid, Ahead ahead = {}) const {
    return users_.may_enter(uid, limits_, ahead);
  }
  uint32_t owner_of(uint32_t uid) const { return users_.owner_of(uid); }
  Result<Listener*> connect(const Listener::Identity& identity, void* owner);
  void disconnect(Listener* listener);  // it is gone afterwards
  // Drops up to `most` of what waits for it; whether that was all. So to give up a long queue can
  // be done a piece at a time, before disconnect().
  bool drop_some(Listener& listener, size_t most);
  // What a subscription added and left behind goes a piece at a time, too: up to `most` processes
  // of it, and visit(pid) for each of the initial namespace that nobody has added any more.
  // Whether that was all.
  template <class F>
  bool bury(size_t most, F visit) {
    while (most > 0 && !graves_.empty()) {
      Node& node = *graves_.back();
      const size_t count = std::min(most, node.added.size());
      node.added.sweep(count, [&](int32_t pid, uint64_t) {
        forget_added(node, pid);
        if (node.filter.scope.ns == 0 && !is_added(pid)) visit(pid);
        return true;
      });
      most -= count;
      if (node.added.empty()) graves_.pop_back();
    }
    return graves_.empty();
  }

  // From now on it hears of this, and of nothing else; what was queued stays. Errors: EINVAL of
  // predicates; EDQUOT, ENOSPC; then nothing has changed.
  Result<void> subscribe(Listener& listener, Subscription subscription);
  // The same in two steps, for who has to ask others in between whether it can be had: after
  // begin_change() what it wants and what it wanted are both among interests(), and nothing else
  // may be done to this listener before keep() or undo().
  struct Change {
    Node* before = nullptr;
    std::unique_ptr<Filter> filter;  // that `before` had: it goes on with another one
    Users::Claim claim;
    Stream stream = Stream::kProcesses;
  };
  // Whether its length alone is within the quotas of its user. Errors: EDQUOT.
  Result<void> may_subscribe(const Listener& listener, const Subscription& subscription) const;
  Result<Change> begin_change(Listener& listener, Subscription subscription);
  void keep(Listener& listener, Change change);
  void undo(Listener& listener, Change change);
  void unsubscribe(Listener& listener);
  // One more process, or one less, by the pid it knows; of a subscription with only_added. `start`:
  // clock ticks since boot, 0: whichever it is. Errors: EINVAL, EEXIST, EDQUOT; ENOENT.
  Result<void> add(Listener& listener, int32_t pid, uint64_t start);
  Result<void> remove(Listener& listener, int32_t pid);

  // `seen.event` may be LOST: then all are told who may miss some.
  void publish(const PublishedEvent& seen, const filter::Ancestry& ancestry);
  // A process is over, for those who added it; `seen` as for its exit. To be called after that was
  // published.
  void over(Stream stream, int32_t pid, uint64_t start, std::span<const event::Level> levels);

  // An ack, for all who hear everything but the one that is answered with it.
  void publish_ack(const PublishedEvent& seen, const Listener& asker);
  // Puts a packet behind what is queued. How much of that may wait is the caller's to bound: a long
  // answer may_answer() first.
  void answer(Listener& listener, std::string_view packet);
  // Errors: EDQUOT, ENOBUFS: too much waits already, of its user or of all.
  Result<void> may_answer(const Listener& listener, size_t bytes) const;
  // Those that were sent.
  void popped(Listener& listener, size_t count);
  // Calls visit(listener), which must not disconnect anybody, for each that something was queued
  // for since the last call.
  template <class F>
  void fresh(F visit) {
    std::vector<Listener*> now;
    now.swap(fresh_);
    for (Listener* listener : now) {
      settle(*listener);  // of one whose queue was given up, nothing else might come to tell it
      listener->fresh_ = false;
      visit(*listener);
    }
    if (fresh_.empty()) {
      now.clear();
      fresh_.swap(now);  // keeps its memory
    }
  }

  std::vector<filter::Interest> interests(Stream stream) const;
  // Whether anybody added this process of the initial pid namespace.
  bool is_added(int32_t pid) const;
  bool any(Stream stream) const { return scoped_[static_cast<size_t>(stream)].nodes != 0; }
  // Whether any listener to this stream may see one user, or one namespace, only.
  bool any_by_uid(Stream stream) const { return scoped_[static_cast<size_t>(stream)].by_uid != 0; }
  bool any_by_level(Stream stream) const {
    return scoped_[static_cast<size_t>(stream)].by_level != 0;
  }

  void set_limits(const Limits& limits);
  void set_owners(Owners owners) { users_.set_owners(std::move(owners)); }
  const Limits& limits() const { return limits_; }
  const Users& users() const { return users_; }
  // What waits, all in all: bytes that several wait for are counted once.
  size_t bytes() const { return event_bytes() + answer_bytes(); }
  size_t nodes() const { return nodes_.size(); }
  struct Counters {
    uint64_t published = 0, delivered = 0, lost = 0, withheld_uid = 0, withheld_level = 0;
  };
  const Counters& counters() const { return counters_; }
  bool is_forgotten_for_testing() const;  // nothing is left of any subscription

 private:
  struct Scoped {
    uint32_t nodes = 0, by_uid = 0, by_level = 0;
  };
  class EncodingCache;

  MatchIndex& index(Stream stream) { return indexes_[static_cast<size_t>(stream)]; }
  Node* node_of(Filter filter);
  void count_scope(const Node& node, int by);
  void leave(Listener& listener);
  void give_up(Listener& listener, Node* node);
  Result<Change> change_filter(Listener& listener, Filter filter);
  void swap_filter(Node& node, Filter& other);
  void publish_lost(const PublishedEvent& seen);
  static bool judge(const Node& node, const knell_event* event, const filter::Ancestry& ancestry);
  void deliver(Listener& listener, const Bytes& bytes, uint64_t stamp_ns, uint64_t lost = 0);
  size_t event_bytes() const { return store_.bytes() + (items_ - answers_) * sizeof(Queue::Item); }
  size_t answer_bytes() const { return answer_store_.bytes() + answers_ * sizeof(Queue::Item); }
  bool tight(const Listener& listener) const;
  void settle(Listener& listener);
  void shed();
  template <class F>
  void book(Listener& listener, F change);
  Bytes lost_bytes(const Listener& listener, const Queue::Hole& hole);
  void mark(Listener& listener);
  void keep_added(Node& before, Node& node);
  void put_added(Node& node, int32_t pid, uint64_t start);
  void forget_added(Node& node, int32_t pid);
  void over_in(Stream stream, uint32_t ns, int32_t pid, uint64_t start);

  EventEncoder& encoder_;
  Limits limits_;
  Store store_, answer_store_;
  Users users_;
  std::unordered_map<std::string, std::unique_ptr<Node>> nodes_;
  std::unordered_map<const Listener*, std::unique_ptr<Listener>> listeners_;
  std::array<MatchIndex, kStreams> indexes_;
  std::array<Scoped, kStreams> scoped_;
  std::vector<std::unique_ptr<Node>> graves_;                // nobody listens to them; see bury()
  std::unordered_map<uint64_t, std::vector<Node*>> adders_;  // by pid in its namespace
  std::vector<Listener*> fresh_;
  Counters counters_;
  size_t items_ = 0, answers_ = 0;  // of all queues; the answers among them
  uint64_t names_ = 0;              // of nodes that are not shared
  int64_t epoch_ns_ = 0;
};

}  // namespace knell::hub
