// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "hub/filter.h"
#include "hub/published_event.h"

namespace knell::hub {

// Finds the nodes that may want an event without visiting the others. See match_index.cc.
class MatchIndex {
 public:
  void insert(Node* node);
  void erase(Node* node);
  // `node`, which is in the index and has only_added, adds or removes one process.
  void insert_pid(Node* node, int32_t pid);
  void erase_pid(Node* node, int32_t pid);
  // Whether the node is found by its added processes only.
  static bool is_by_added(const Node& node);
  bool empty() const;

  // Calls visit(node, level) once for each candidate. `level`: the event's pid in the namespace of
  // the node's scope; nullptr: the scope has none. The node's scope allows the event; the caller
  // tests whether its filter matches.
  template <class F>
  void match(const PublishedEvent& published, F visit);
  // The last event was withheld from nodes with a scope, because its uid or its pid namespaces were
  // not known.
  struct Unknown {
    bool uid = false, levels = false;
  };
  Unknown unknown() const { return unknown_; }

 private:
  // The kind of key that finds a node: the narrowest condition of its scope and filter.
  enum class KeyKind : uint8_t { kAnything, kUser, kLevel, kPid, kUid, kUnit, kComm };
  static constexpr size_t kKeyKinds = 7;
  static constexpr size_t kClasses = 12;     // see class_of()
  static constexpr size_t kAddedClass = 11;  // added processes, of any event type, found by kPid
  using Nodes = std::vector<Node*>;
  using Keys = std::vector<std::pair<KeyKind, uint64_t>>;  // all of one kind
  struct Class {
    Nodes anything;
    std::unordered_map<uint64_t, Nodes> by_key;
    std::array<uint32_t, kKeyKinds> used{};  // number of entries in `by_key`, for each kind of key
    // For each kind of key that is a detail of the process, all nodes with such keys, each once.
    std::array<Nodes, kKeyKinds> by_detail;
  };

  static size_t class_of(uint32_t type, bool zero);
  static bool is_detail(KeyKind kind) {
    return kind == KeyKind::kUid || kind == KeyKind::kUnit || kind == KeyKind::kComm;
  }
  static uint64_t key_of(KeyKind kind, uint64_t value);
  static uint64_t key_of(KeyKind kind, std::string_view text);
  static Keys keys_of(const Node& node);
  static Nodes* nodes_by_detail(Class& in, const Keys& keys);
  template <class F>
  static void for_each_class(const Node& node, F visit);
  void add_key(Class& in, KeyKind kind, uint64_t key, Node* node);
  void remove_key(Class& in, KeyKind kind, uint64_t key, Node* node);
  template <class F>
  static void visit_key(const Class& in, KeyKind kind, uint64_t key, F visit);

  std::array<Class, kClasses> classes_;
  Unknown unknown_;
};

template <class F>
void MatchIndex::visit_key(const Class& in, KeyKind kind, uint64_t key, F visit) {
  if (in.used[static_cast<size_t>(kind)] == 0) return;
  const auto found = in.by_key.find(key);
  if (found == in.by_key.end()) return;
  for (Node* node : found->second) visit(node);
}

template <class F>
void MatchIndex::match(const PublishedEvent& published, F visit) {
  const Class& in = classes_[class_of(published.type, published.zero)];
  const auto whole = [&](Node* node) { visit(node, nullptr); };
  unknown_ = {};
  for (Node* node : in.anything) whole(node);
  const uint64_t pid_key = key_of(KeyKind::kPid, static_cast<uint32_t>(published.pid));
  visit_key(classes_[kAddedClass], KeyKind::kPid, pid_key, [&](Node* node) {
    if (node->filter.wants_type(published.type, published.zero)) whole(node);
  });
  if (in.by_key.empty()) return;
  const auto used = [&](KeyKind kind) { return in.used[static_cast<size_t>(kind)] != 0; };
  if (used(KeyKind::kUser)) {
    if (published.uid_known)
      visit_key(in, KeyKind::kUser, key_of(KeyKind::kUser, published.uid), whole);
    else
      unknown_.uid = true;
  }
  if (used(KeyKind::kLevel)) {
    if (!published.levels_known) unknown_.levels = true;
    for (const event::NamespacePids& level : published.levels)
      visit_key(in, KeyKind::kLevel, key_of(KeyKind::kLevel, level.ns), [&](Node* node) {
        const Scope& scope = node->filter.scope;
        if (scope.every_user || (published.uid_known && scope.uid == published.uid))
          visit(node, &level);
        else if (!published.uid_known)
          unknown_.uid = true;
      });
  }
  visit_key(in, KeyKind::kPid, pid_key, whole);
  const knell_event* const event = published.event;
  const bool lost = event != nullptr && (event->flags & KNELL_FLAG_DETAILS_LOST) != 0;
  const auto visit_all = [&](KeyKind kind) {
    for (Node* node : in.by_detail[static_cast<size_t>(kind)]) whole(node);
  };
  if (published.uid_known)
    visit_key(in, KeyKind::kUid, key_of(KeyKind::kUid, published.uid), whole);
  else if (lost)
    visit_all(KeyKind::kUid);
  if (event == nullptr) return;
  const auto visit_text = [&](KeyKind kind, const knell_string& value) {
    if (!used(kind)) return;
    if (lost && value.data == nullptr) return visit_all(kind);
    visit_key(in, kind, key_of(kind, std::string_view(value.data, value.size)), whole);
  };
  visit_text(KeyKind::kUnit, event->unit);
  visit_text(KeyKind::kComm, event->comm);
}

}  // namespace knell::hub
