// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The cost of an event depends on the listeners that want it, not on all listeners. Listeners with
// equal filters share a node. There is a class of nodes for each type of event, and two for exits:
// status 0 and any other. A node is in each class whose events its mask and predicates can pass.
// Within a class, a node that requires one value of a field (process, user, pid namespace, unit,
// name) is found by a hash of that value: an event looks up its own values and does not visit other
// nodes. A node has keys of one kind only, so that no event visits it twice; it has several keys of
// that kind if its filter has alternatives.
//
// An exit whose details were lost passes predicates about unknown fields. So it visits all nodes
// that are found by such a field. A class has a second list of these nodes, since a node with
// several keys must be visited only once.
//
// There may be many added processes, which are added and removed one by one. They are found by pid
// in one class for all types; match() then asks the node for the type.
//
// Scopes come first: a node whose scope is one user or one pid namespace is found by that key only,
// so no event outside its scope can reach it.
#include "hub/match_index.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace knell::hub {
namespace {

constexpr std::array<uint32_t, 9> kTypes{
    KNELL_EVENT_FORK, KNELL_EVENT_EXEC,   KNELL_EVENT_UID,  KNELL_EVENT_GID,     KNELL_EVENT_SID,
    KNELL_EVENT_NONE, KNELL_EVENT_PTRACE, KNELL_EVENT_COMM, KNELL_EVENT_COREDUMP};
// A condition with more alternatives than this gives no keys. If no other condition gives keys, the
// node is visited for each event of its class: testing the event costs less than inserting the keys
// at each subscribe. Chosen, not measured.
constexpr size_t kMostKeys = 128;
constexpr size_t kExitClass = 9, kFailureClass = 10;

// "cron" and "cron.service" get the same key; the node's predicates distinguish them.
std::string_view bare(std::string_view unit) {
  constexpr std::string_view kService = ".service";
  while (unit.ends_with(kService)) unit.remove_suffix(kService.size());
  return unit;
}

}  // namespace

size_t MatchIndex::class_of(uint32_t type, bool zero) {
  if (type == KNELL_EVENT_EXIT) return zero ? kExitClass : kFailureClass;
  const auto* const at = std::ranges::find(kTypes, type);
  return at == kTypes.end() ? size_t{5} : static_cast<size_t>(at - kTypes.begin());
}

uint64_t MatchIndex::key_of(KeyKind kind, uint64_t value) {
  return static_cast<uint64_t>(kind) << 56 | (value & 0x00ff'ffff'ffff'ffff);
}

// Strings with equal hashes share a key; the node's predicates compare the string itself.
uint64_t MatchIndex::key_of(KeyKind kind, std::string_view text) {
  return key_of(kind, std::hash<std::string_view>{}(kind == KeyKind::kUnit ? bare(text) : text));
}

MatchIndex::Keys MatchIndex::keys_of(const Node& node) {
  Keys keys;
  const Filter& filter = node.filter;
  const auto add = [&](KeyKind kind, const auto& values) {
    for (const auto& value : values) {
      if constexpr (std::is_convertible_v<decltype(value), std::string_view>)
        keys.emplace_back(kind, key_of(kind, std::string_view(value)));
      else
        keys.emplace_back(kind, key_of(kind, static_cast<uint32_t>(value)));
    }
    std::ranges::sort(keys);  // "cron" and "cron.service" have the same key
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  };
  const auto few = [](const auto& values) { return !values.empty() && values.size() <= kMostKeys; };
  if (filter.scope.ns != 0)
    keys.emplace_back(KeyKind::kLevel, key_of(KeyKind::kLevel, filter.scope.ns));
  else if (!filter.scope.every_user)
    keys.emplace_back(KeyKind::kUser, key_of(KeyKind::kUser, filter.scope.uid));
  else if (is_by_added(node))
    node.added.for_each([&](int32_t pid, uint64_t) {
      keys.emplace_back(KeyKind::kPid, key_of(KeyKind::kPid, static_cast<uint32_t>(pid)));
    });
  else if (few(filter.interest.pids))
    add(KeyKind::kPid, filter.interest.pids);
  else if (few(filter.interest.uids))
    add(KeyKind::kUid, filter.interest.uids);
  else if (few(filter.interest.units))
    add(KeyKind::kUnit, filter.interest.units);
  else if (few(filter.interest.comms))
    add(KeyKind::kComm, filter.interest.comms);
  else
    keys.emplace_back(KeyKind::kAnything, 0);
  return keys;
}

bool MatchIndex::is_by_added(const Node& node) {
  const Scope& scope = node.filter.scope;
  return node.filter.subscription.only_added && scope.ns == 0 && scope.every_user;
}

template <class F>
void MatchIndex::for_each_class(const Node& node, F visit) {
  if (is_by_added(node)) return visit(kAddedClass);
  for (const uint32_t type : kTypes)
    if (node.filter.wants_type(type, false)) visit(class_of(type, false));
  for (const bool zero : {true, false})
    if (node.filter.wants_type(KNELL_EVENT_EXIT, zero)) visit(class_of(KNELL_EVENT_EXIT, zero));
}

void MatchIndex::add_key(Class& in, KeyKind kind, uint64_t key, Node* node) {
  if (kind == KeyKind::kAnything) {
    in.anything.push_back(node);
    return;
  }
  in.by_key[key].push_back(node);
  ++in.used[static_cast<size_t>(kind)];
}

void MatchIndex::remove_key(Class& in, KeyKind kind, uint64_t key, Node* node) {
  if (kind == KeyKind::kAnything) {
    std::erase(in.anything, node);
    return;
  }
  const auto found = in.by_key.find(key);
  if (found == in.by_key.end() || std::erase(found->second, node) == 0) return;
  if (found->second.empty()) in.by_key.erase(found);
  --in.used[static_cast<size_t>(kind)];
}

// The list of the class for nodes with such keys; nullptr: the key is not a detail of the process.
MatchIndex::Nodes* MatchIndex::nodes_by_detail(Class& in, const Keys& keys) {
  if (keys.empty() || !is_detail(keys.front().first)) return nullptr;
  return &in.by_detail[static_cast<size_t>(keys.front().first)];
}

void MatchIndex::insert(Node* node) {
  const auto keys = keys_of(*node);
  for_each_class(*node, [&](size_t c) {
    for (const auto& [kind, key] : keys) add_key(classes_[c], kind, key, node);
    if (Nodes* const all = nodes_by_detail(classes_[c], keys)) all->push_back(node);
  });
}

void MatchIndex::erase(Node* node) {
  const auto keys = keys_of(*node);
  for_each_class(*node, [&](size_t c) {
    for (const auto& [kind, key] : keys) remove_key(classes_[c], kind, key, node);
    if (Nodes* const all = nodes_by_detail(classes_[c], keys)) std::erase(*all, node);
  });
}

void MatchIndex::insert_pid(Node* node, int32_t pid) {
  if (!is_by_added(*node)) return;
  add_key(classes_[kAddedClass], KeyKind::kPid, key_of(KeyKind::kPid, static_cast<uint32_t>(pid)),
          node);
}

void MatchIndex::erase_pid(Node* node, int32_t pid) {
  if (!is_by_added(*node)) return;
  remove_key(classes_[kAddedClass], KeyKind::kPid,
             key_of(KeyKind::kPid, static_cast<uint32_t>(pid)), node);
}

bool MatchIndex::empty() const {
  return std::ranges::all_of(classes_, [](const Class& in) {
    return in.anything.empty() && in.by_key.empty() &&
           std::ranges::all_of(in.by_detail, &Nodes::empty) &&
           std::ranges::all_of(in.used, [](uint32_t used) { return used == 0; });
  });
}

}  // namespace knell::hub
