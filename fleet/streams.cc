// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/streams.h"

#include <fmt/format.h>
#include <nats/nats.h>

#include <algorithm>

#include "base/duration.h"
#include "fleet/interest_store.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

// A forwarder may send a message again as long as it keeps it (Outbox::Limits::hold), so the server
// must remember the ids for longer.
constexpr std::chrono::nanoseconds kDuplicates = std::chrono::minutes(10);
constexpr int64_t kHostBytes = int64_t{256} << 20;  // presence of 100,000 hosts and more

constexpr const char* kNoJetStream = "this server has no JetStream: start nats-server with -js";

struct Stream {
  std::string name;
  std::string subject;
  int64_t bytes;
  int64_t age_ns;
  int64_t duplicates_ns;
  int64_t messages_a_subject;
};

Result<void> create(Connection& connection, const Stream& stream, const StreamLimits& limits) {
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const char* subject = stream.subject.c_str();
  config.Name = stream.name.c_str();
  config.Subjects = &subject;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  config.Retention = js_LimitsPolicy;
  config.Discard = limits.discard_new ? js_DiscardNew : js_DiscardOld;
  config.MaxAge = stream.age_ns;
  config.MaxBytes = stream.bytes;
  config.MaxMsgsPerSubject = stream.messages_a_subject;
  config.Duplicates = stream.duplicates_ns;
  config.Replicas = limits.replicas;
  auto code = static_cast<jsErrCode>(0);
  natsStatus status = js_AddStream(nullptr, connection.jetstream(), &config, nullptr, &code);
  if (code == JSStreamNameExistErr)
    status = js_UpdateStream(nullptr, connection.jetstream(), &config, nullptr, &code);
  if (status == NATS_OK) return {};
  const char* detail = nats_GetLastError(nullptr);
  if (status == NATS_NO_RESPONDERS) return say(ENOTSUP, kNoJetStream);
  return say(
      status == NATS_TIMEOUT ? ETIMEDOUT : EINVAL,
      fmt::format("cannot create stream {}: {}", stream.name,
                  detail != nullptr && *detail != '\0' ? detail : natsStatus_GetText(status)));
}

Result<void> create_bucket(Connection& connection, int replicas) {
  kvStore* store = nullptr;
  natsStatus status = js_KeyValue(&store, connection.jetstream(), kInterestBucket);
  if (status == NATS_NOT_FOUND) {
    kvConfig config;
    kvConfig_Init(&config);
    config.Bucket = kInterestBucket;
    config.History = 1;
    config.Replicas = replicas;
    status = js_CreateKeyValue(&store, connection.jetstream(), &config);
  }
  if (store != nullptr) kvStore_Destroy(store);
  if (status == NATS_OK) return {};
  return say(EINVAL, fmt::format("cannot create bucket {}: {}", kInterestBucket,
                                 natsStatus_GetText(status)));
}

}  // namespace

Result<uint32_t> count_shards(Connection& connection) {
  for (uint32_t shard = 0; shard < kMostShards; ++shard) {
    jsStreamInfo* info = nullptr;
    auto code = static_cast<jsErrCode>(0);
    const natsStatus status = js_GetStreamInfo(&info, connection.jetstream(),
                                               event_stream(shard).c_str(), nullptr, &code);
    if (status == NATS_OK) {
      jsStreamInfo_Destroy(info);
      continue;
    }
    if (status == NATS_NOT_FOUND || code == JSStreamNotFoundErr) return shard;
    if (status == NATS_NO_RESPONDERS) return say(ENOTSUP, kNoJetStream);
    const std::string refused = connection.refusal();
    return say(refused.empty() ? ETIMEDOUT : EACCES,
               fmt::format("cannot query stream {}: {}", event_stream(shard),
                           refused.empty() ? natsStatus_GetText(status) : refused.c_str()));
  }
  return kMostShards;
}

Result<std::vector<std::string>> create_streams(Connection& connection,
                                                const StreamLimits& limits) {
  KNELL_ASSIGN(const uint32_t existing, count_shards(connection));
  const uint32_t shards = std::max({limits.shards, limits.shards == 0 ? existing : 0, 1U});
  if (shards < existing)
    return say(EINVAL,
               fmt::format("this fleet has {} shards; their number can only grow", existing));
  const auto duplicates = std::min(kDuplicates, limits.age).count();
  const int64_t bytes = std::max<int64_t>(limits.bytes / shards, 1);
  for (uint32_t shard = 0; shard < shards; ++shard)
    KNELL_TRY(create(connection,
                     {event_stream(shard), subjects_of_hosts(shard, "*"), bytes, limits.age.count(),
                      duplicates, -1},
                     limits));
  // Keeps the last message of each host for ever, so that a host that has gone is shown as silent.
  StreamLimits of_hosts = limits;
  of_hosts.discard_new = false;
  KNELL_TRY(
      create(connection, {kHostStream, kHostSubjects, kHostBytes, 0, duplicates, 1}, of_hosts));
  KNELL_TRY(create_bucket(connection, limits.replicas));
  // Hosts use the new shards when the stored number changes, so change it only when all shards
  // exist.
  KNELL_ASSIGN(const FleetInterest interest, stored_interest(connection));
  if (interest.shards != shards)
    KNELL_TRY(change_interest(connection, [&](FleetInterest& value) -> Result<void> {
      value.shards = shards;
      return {};
    }));
  std::vector<std::string> lines;
  for (uint32_t shard = 0; shard < shards; ++shard)
    lines.push_back(fmt::format("stream {}: events of {}, up to {} bytes, in {} {}",
                                event_stream(shard), duration_text(limits.age), bytes,
                                limits.replicas, limits.replicas == 1 ? "copy" : "copies"));
  lines.push_back(fmt::format("stream {}: the last presence of each host", kHostStream));
  lines.push_back(fmt::format("bucket {}: the selectors of the readers", kInterestBucket));
  return lines;
}

}  // namespace knell::fleet
