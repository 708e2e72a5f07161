// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "filter/root.h"
#include "handover/state.h"
#include "hub/hub.h"
#include "server/sequence_numbers.h"

namespace knell::server {

// The kinds of the server's records in handover::State. Those of the daemon begin at
// kFirstOfDaemon.
enum SavedKind : uint32_t {
  kSavedClient = 1,   // ClientRecord, then its texts: all of a client but its queue and added pids
  kSavedGone = 2,     // u64: the id of a client that has disconnected
  kSavedBytes = 3,    // the bytes of an item; they are shared by all items that refer to them
  kSavedItems = 4,    // ItemsRecord, then an ItemRecord each: what was queued
  kSavedAdded = 5,    // AddedRecord, then an AddedEntry each
  kSavedSent = 6,     // State::SentRecord
  kSavedReceived = 7  // State::ReceivedRecord
};
inline constexpr uint32_t kFirstOfDaemon = 16;

struct ClientRecord {
  uint64_t id, since_ns;
  int64_t latency_ns, started_ns;
  uint32_t ns, frames;
  uint32_t protocol, rule, overruns;
  uint32_t mask;  // of a subscription to datagrams
  enum : uint32_t { kNothing, kFrame, kDatagrams } subscribed;
  // The texts that follow, in this order: the SUBSCRIBE frame, the request that is being served,
  // the sequence numbers, a RootRecord for each pid that `under` names in the frame.
  uint32_t subscription_bytes, request_bytes, numbers_bytes, roots;
};

struct RootRecord {
  uint64_t start;
  int32_t pid;
  int32_t named;  // the client's pid
};

struct ItemsRecord {
  uint64_t id;
  hub::Queue::Counts counts;
  uint32_t anew;  // the queue has these items only
  uint32_t count;
};

struct ItemRecord {
  uint64_t position;  // of its bytes in the log
  uint32_t bytes, lost;
  uint32_t exact, hole, event, pad;
};

struct AddedRecord {
  uint64_t id;
  uint32_t anew;  // these processes only
  uint32_t count;
};

struct AddedEntry {
  uint64_t start;
  int32_t pid;
  uint32_t added;  // 0: all processes with this pid were removed
};

// A client as the records describe it.
struct SavedClient {
  ClientRecord record{};
  std::string subscription, request;
  SequenceNumbers numbers;
  std::map<int32_t, filter::Root> roots;  // by the client's pids
  std::deque<ItemRecord> items;
  hub::Queue::Counts counts;
  // As in hub::Node: pid to start.
  std::map<int32_t, uint64_t> added, replaced;
};

// The clients of the earlier daemon, and the request that it had received but not served.
class SavedClients {
 public:
  // Applies one record; ignores those of the daemon. `state`: for the bytes of items. Errors:
  // EBADMSG.
  Result<void> apply(const handover::State& state, uint32_t kind, std::string_view payload);
  // To be called after the last record: adds what the last system call of the earlier daemon did.
  Result<void> finish(const handover::State& state);

  std::map<uint64_t, SavedClient>& all() { return clients_; }
  const handover::State::ReceivedRecord& last_received() const { return received_; }
  const handover::State::SentRecord& last_sent() const { return sent_; }

 private:
  Result<void> sent(const handover::State& state, const handover::State::SentRecord& record);

  std::map<uint64_t, SavedClient> clients_;
  handover::State::SentRecord sent_{};
  handover::State::ReceivedRecord received_{};
};

}  // namespace knell::server
