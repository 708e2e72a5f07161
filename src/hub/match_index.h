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
  // judges whether its filter matches.
  template <class F>
  void match(const PublishedEvent& seen, F visit);
  // The last event was withheld from nodes with a scope, because its uid or its pid namespaces were
  // not known.
  struct Unknown {
    bool uid = false, levels = false;
  };
  Unknown unknown() const { return unknown_; }

 private:
  // The kind of key that finds a node: the narrowest condition of its scope and filter.
  enum class By : uint8_t { kAnything, kUser, kLevel, kPid, kUid, kUnit, kComm };
  static constexpr size_t kBys = 7;
  static constexpr size_t kClasses = 12;     // see class_of()
  static constexpr size_t kAddedClass = 11;  // of any type, by kPid
  using Nodes = std::vector<Node*>;
  struct Class {
    Nodes anything;
    std::unordered_map<uint64_t, Nodes> by;
    std::array<uint32_t, kBys> used{};  // entries of `by`, of each kind
  };

  static size_t class_of(uint32_t type, bool zero);
  static uint64_t key_of(By by, uint64_t value);
  static uint64_t key_of(By by, std::string_view text);
  static std::vector<std::pair<By, uint64_t>> places_of(const Node& node);
  template <class F>
  static void for_each_class(const Node& node, F visit);
  void put(Class& in, By by, uint64_t key, Node* node);
  void take(Class& in, By by, uint64_t key, Node* node);
  template <class F>
  static void look(const Class& in, By by, uint64_t key, F visit);

  std::array<Class, kClasses> classes_;
  Unknown unknown_;
};

template <class F>
void MatchIndex::look(const Class& in, By by, uint64_t key, F visit) {
  if (in.used[static_cast<size_t>(by)] == 0) return;
  const auto found = in.by.find(key);
  if (found == in.by.end()) return;
  for (Node* node : found->second) visit(node);
}

template <class F>
void MatchIndex::match(const PublishedEvent& seen, F visit) {
  const Class& in = classes_[class_of(seen.type, seen.zero)];
  const auto whole = [&](Node* node) { visit(node, nullptr); };
  unknown_ = {};
  for (Node* node : in.anything) whole(node);
  const uint64_t by_pid = key_of(By::kPid, static_cast<uint32_t>(seen.pid));
  look(classes_[kAddedClass], By::kPid, by_pid, [&](Node* node) {
    if (node->filter.wants_type(seen.type, seen.zero)) whole(node);
  });
  if (in.by.empty()) return;
  const auto used = [&](By by) { return in.used[static_cast<size_t>(by)] != 0; };
  if (used(By::kUser)) {
    if (seen.uid_known)
      look(in, By::kUser, key_of(By::kUser, seen.uid), whole);
    else
      unknown_.uid = true;
  }
  if (used(By::kLevel)) {
    if (!seen.levels_known) unknown_.levels = true;
    for (const event::Level& level : seen.levels)
      look(in, By::kLevel, key_of(By::kLevel, level.ns), [&](Node* node) {
        const Scope& scope = node->filter.scope;
        if (scope.every_user || (seen.uid_known && scope.uid == seen.uid))
          visit(node, &level);
        else if (!seen.uid_known)
          unknown_.uid = true;
      });
  }
  look(in, By::kPid, by_pid, whole);
  if (seen.uid_known) look(in, By::kUid, key_of(By::kUid, seen.uid), whole);
  if (seen.event == nullptr) return;
  const auto text = [](const knell_string& s) { return std::string_view(s.data, s.size); };
  if (used(By::kUnit)) look(in, By::kUnit, key_of(By::kUnit, text(seen.event->unit)), whole);
  if (used(By::kComm)) look(in, By::kComm, key_of(By::kComm, text(seen.event->comm)), whole);
}

}  // namespace knell::hub
