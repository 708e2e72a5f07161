// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The state of another daemon is checked like a request, since another process wrote that memory.
#include "server/saved_clients.h"

#include <cstring>
#include <span>
#include <utility>

namespace knell::server {
namespace {

constexpr size_t kMostItems = 1U << 22;

std::unexpected<Error> malformed() { return say(EBADMSG, "the stored state is malformed"); }

// Takes a structure from the front of `text`.
template <class T>
bool take(std::string_view& text, T& out) {
  if (text.size() < sizeof out) return false;
  text.copy(reinterpret_cast<char*>(&out), sizeof out);
  text.remove_prefix(sizeof out);
  return true;
}

bool take_text(std::string_view& text, size_t bytes, std::string& out) {
  if (text.size() < bytes) return false;
  out = text.substr(0, bytes);
  text.remove_prefix(bytes);
  return true;
}

}  // namespace

Result<void> SavedClients::apply(const handover::State& state, uint32_t kind,
                                 std::string_view payload) {
  switch (kind) {
    case kSavedClient: {
      ClientRecord record{};
      if (!take(payload, record)) return malformed();
      SavedClient& client = clients_[record.id];
      std::string numbers;
      client.record = record;
      if (!take_text(payload, record.subscription_bytes, client.subscription) ||
          !take_text(payload, record.request_bytes, client.request) ||
          !take_text(payload, record.numbers_bytes, numbers))
        return malformed();
      client.numbers.restore(numbers);
      client.roots.clear();
      for (uint32_t i = 0; i < record.roots; ++i) {
        RootRecord root{};
        if (!take(payload, root)) return malformed();
        client.roots[root.named] = {root.pid, root.start};
      }
      return {};
    }
    case kSavedGone: {
      uint64_t id = 0;
      if (!take(payload, id)) return malformed();
      clients_.erase(id);
      return {};
    }
    case kSavedItems: {
      ItemsRecord record{};
      if (!take(payload, record) || payload.size() != record.count * sizeof(ItemRecord))
        return malformed();
      SavedClient& client = clients_[record.id];
      client.counts = record.counts;
      if (record.anew != 0) client.items.clear();
      if (client.items.size() + record.count > kMostItems) return malformed();
      for (ItemRecord item{}; take(payload, item);) client.items.push_back(item);
      return {};
    }
    case kSavedAdded: {
      AddedRecord record{};
      if (!take(payload, record)) return malformed();
      SavedClient& client = clients_[record.id];
      if (record.anew != 0) {
        client.added.clear();
        client.replaced.clear();
      }
      for (AddedEntry entry{}; take(payload, entry);) {
        if (entry.added == 0) {
          client.added.erase(entry.pid);
          client.replaced.erase(entry.pid);
          continue;
        }
        const auto [known, made] = client.added.try_emplace(entry.pid, entry.start);
        if (!made && known->second != entry.start)
          client.replaced[entry.pid] = std::exchange(known->second, entry.start);
      }
      return {};
    }
    case kSavedSent: {
      handover::State::SentRecord record{};
      if (!take(payload, record)) return malformed();
      return sent(state, record);
    }
    case kSavedReceived:
      return take(payload, received_) ? Result<void>() : malformed();
    default:
      return {};
  }
}

// The renumbered datagrams of a client get the numbers with which they were sent.
Result<void> SavedClients::sent(const handover::State& state,
                                const handover::State::SentRecord& record) {
  sent_ = record;
  const auto found = clients_.find(record.owner);
  if (found == clients_.end()) return {};
  SavedClient& client = found->second;
  if (record.items > client.items.size()) return malformed();
  client.record.frames += record.packets;
  if (client.numbers.used()) client.numbers.skip_lost(client.counts.lost);
  for (uint32_t i = 0; i < record.items; ++i) {
    const ItemRecord item = client.items.front();
    client.items.pop_front();
    if (!client.numbers.used()) continue;
    const std::string_view bytes = state.at(item.position, item.bytes);
    std::vector<std::byte> copy(bytes.size());
    std::memcpy(copy.data(), bytes.data(), bytes.size());
    client.numbers.assign(copy);
  }
  return {};
}

Result<void> SavedClients::finish(const handover::State& state) {
  if (const auto last = state.unrecorded(sent_.serial)) KNELL_TRY(sent(state, *last));
  std::erase_if(clients_, [](const auto& one) { return one.second.record.id == 0; });
  return {};
}

}  // namespace knell::server
