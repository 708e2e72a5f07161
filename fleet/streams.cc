// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/streams.h"

#include <fmt/format.h>
#include <nats/nats.h>

#include <algorithm>
#include <memory>
#include <tuple>

#include "base/duration.h"
#include "fleet/interest_store.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

// A forwarder may send a message again as long as it keeps it (Outbox::Limits::hold), so the server
// must remember the ids for longer.
constexpr std::chrono::nanoseconds kDuplicates = std::chrono::minutes(10);
constexpr int64_t kHostBytes = int64_t{256} << 20;  // presence of 100,000 hosts and more
constexpr std::chrono::hours kDefaultAge(24 * 7);
constexpr int64_t kDefaultBytes = int64_t{10} << 30;  // of all shards together

constexpr const char* kNoJetStream = "this server has no JetStream: start nats-server with -js";

using OwnedInfo = std::unique_ptr<jsStreamInfo, decltype(&jsStreamInfo_Destroy)>;

// A stream of the server; null: there is none with this name.
Result<OwnedInfo> info_of(Connection& connection, const std::string& name) {
  jsStreamInfo* info = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      js_GetStreamInfo(&info, connection.jetstream(), name.c_str(), nullptr, &code);
  OwnedInfo owned(info, &jsStreamInfo_Destroy);
  if (status == NATS_OK || status == NATS_NOT_FOUND || code == JSStreamNotFoundErr) return owned;
  if (status == NATS_NO_RESPONDERS) return say(ENOTSUP, kNoJetStream);
  const std::string refused = connection.refusal();
  return say(refused.empty() ? ETIMEDOUT : EACCES,
             fmt::format("cannot query stream {}: {}", name,
                         refused.empty() ? natsStatus_GetText(status) : refused.c_str()));
}

Result<std::vector<OwnedInfo>> existing_shards(Connection& connection) {
  std::vector<OwnedInfo> shards;
  while (shards.size() < kMostShards) {
    KNELL_ASSIGN(OwnedInfo info,
                 info_of(connection, event_stream(static_cast<uint32_t>(shards.size()))));
    if (!info) break;
    shards.push_back(std::move(info));
  }
  return shards;
}

// The members of jsStreamConfig that `init` may change.
auto changeable(const jsStreamConfig& config) {
  return std::tuple(config.MaxAge, config.MaxBytes, config.Discard, config.Replicas,
                    config.Duplicates);
}

jsStreamConfig default_config(const char* name, const char** subject) {
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = name;
  config.Subjects = subject;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  config.Retention = js_LimitsPolicy;
  config.Discard = js_DiscardOld;
  config.Duplicates = kDuplicates.count();
  return config;
}

Result<void> done(natsStatus status, std::string_view what) {
  if (status == NATS_OK) return {};
  if (status == NATS_NO_RESPONDERS) return say(ENOTSUP, kNoJetStream);
  const char* detail = nats_GetLastError(nullptr);
  return say(
      status == NATS_TIMEOUT ? ETIMEDOUT : EINVAL,
      fmt::format("cannot {}: {}", what,
                  detail != nullptr && *detail != '\0' ? detail : natsStatus_GetText(status)));
}

// Creates the stream, or changes `existing`.
Result<void> put(Connection& connection, jsStreamConfig config, const jsStreamInfo* existing) {
  if (existing == nullptr)
    return done(js_AddStream(nullptr, connection.jetstream(), &config, nullptr, nullptr),
                fmt::format("create stream {}", config.Name));
  // libnats does not know all members of newer servers, so do not write the configuration
  // needlessly.
  if (changeable(config) == changeable(*existing->Config)) return {};
  return done(js_UpdateStream(nullptr, connection.jetstream(), &config, nullptr, nullptr),
              fmt::format("change stream {}", config.Name));
}

// Keeps the last message of each host for ever, so that a host that has gone is shown as silent.
Result<void> put_hosts(Connection& connection, std::optional<int> replicas,
                       int64_t default_copies) {
  KNELL_ASSIGN(const OwnedInfo existing, info_of(connection, kHostStream));
  const char* subject = kHostSubjects;
  jsStreamConfig config = existing ? *existing->Config : default_config(kHostStream, &subject);
  if (!existing) {
    config.MaxBytes = kHostBytes;
    config.MaxMsgsPerSubject = 1;
    config.Replicas = default_copies;
  }
  if (replicas) config.Replicas = *replicas;
  return put(connection, config, existing.get());
}

Result<void> put_bucket(Connection& connection, std::optional<int> replicas,
                        int64_t default_copies) {
  KNELL_ASSIGN(const OwnedInfo existing, info_of(connection, kInterestStream));
  if (existing) {
    jsStreamConfig config = *existing->Config;
    if (replicas) config.Replicas = *replicas;
    return put(connection, config, existing.get());
  }
  kvStore* store = nullptr;
  kvConfig config;
  kvConfig_Init(&config);
  config.Bucket = kInterestBucket;
  config.History = 1;
  config.Replicas = replicas.value_or(static_cast<int>(default_copies));
  const natsStatus status = js_CreateKeyValue(&store, connection.jetstream(), &config);
  if (store != nullptr) kvStore_Destroy(store);
  return done(status, fmt::format("create bucket {}", kInterestBucket));
}

std::string line_of(const jsStreamConfig& config) {
  return fmt::format(
      "stream {}: events of {}, up to {} bytes, in {} {}, when full {}", config.Name,
      config.MaxAge > 0 ? duration_text(std::chrono::nanoseconds(config.MaxAge)) : "any age",
      config.MaxBytes > 0 ? std::to_string(config.MaxBytes) : "any number of", config.Replicas,
      config.Replicas == 1 ? "copy" : "copies",
      config.Discard == js_DiscardNew ? "refuses new events" : "deletes the oldest events");
}

// The limit of bytes of each shard.
Result<int64_t> bytes_of_a_shard(const StreamLimits& limits, uint32_t shards,
                                 const std::vector<OwnedInfo>& existing) {
  if (!limits.bytes && !existing.empty()) return existing[0]->Config->MaxBytes;
  const int64_t bytes = std::max<int64_t>(limits.bytes.value_or(kDefaultBytes) / shards, 1);
  if (shards == existing.size()) return bytes;
  // More shards with the same total: the events that a shard has may be more than its new share.
  for (const OwnedInfo& info : existing)
    if (info->State.Bytes > static_cast<uint64_t>(bytes))
      return say(
          EINVAL,
          fmt::format("stream {} has {} bytes of events, and its share of --bytes would be "
                      "{}, which would delete its oldest events: omit --bytes, so that each "
                      "new shard has the limit of the first, or type at least {}",
                      info->Config->Name, info->State.Bytes, bytes, info->State.Bytes * shards));
  return bytes;
}

}  // namespace

Result<uint32_t> count_shards(Connection& connection) {
  KNELL_ASSIGN(const auto existing, existing_shards(connection));
  return static_cast<uint32_t>(existing.size());
}

Result<std::vector<std::string>> create_streams(Connection& connection,
                                                const StreamLimits& limits) {
  KNELL_ASSIGN(const auto existing, existing_shards(connection));
  const auto count = static_cast<uint32_t>(existing.size());
  const uint32_t shards = std::max(limits.shards == 0 ? count : limits.shards, 1U);
  if (shards < count)
    return say(EINVAL, fmt::format("this fleet has {} shards; their number can only grow", count));
  KNELL_ASSIGN(const int64_t bytes, bytes_of_a_shard(limits, shards, existing));
  std::vector<std::string> lines;
  int64_t copies = 1;
  for (uint32_t shard = 0; shard < shards; ++shard) {
    const std::string name = event_stream(shard), subjects = subjects_of_hosts(shard, "*");
    const char* subject = subjects.c_str();
    const jsStreamInfo* old = shard < count ? existing[shard].get() : nullptr;
    jsStreamConfig config = old != nullptr ? *old->Config : default_config(name.c_str(), &subject);
    if (old == nullptr) {
      config.MaxAge = std::chrono::nanoseconds(kDefaultAge).count();
      config.MaxBytes = bytes;
      if (count != 0) {
        const jsStreamConfig& first = *existing[0]->Config;
        config.MaxAge = first.MaxAge;
        config.Discard = first.Discard;
        config.Replicas = first.Replicas;
        config.Duplicates = first.Duplicates;
      }
    }
    if (limits.age) {
      config.MaxAge = limits.age->count();
      config.Duplicates = std::min(kDuplicates, *limits.age).count();
    }
    if (limits.bytes) config.MaxBytes = bytes;
    if (limits.replicas) config.Replicas = *limits.replicas;
    if (limits.discard_new) config.Discard = *limits.discard_new ? js_DiscardNew : js_DiscardOld;
    KNELL_TRY(put(connection, config, old));
    if (shard == 0) copies = config.Replicas;
    lines.push_back(line_of(config));
  }
  KNELL_TRY(put_hosts(connection, limits.replicas, copies));
  KNELL_TRY(put_bucket(connection, limits.replicas, copies));
  // Hosts use the new shards when the stored number changes, so change it only when all shards
  // exist.
  KNELL_ASSIGN(const FleetInterest interest, stored_interest(connection));
  if (interest.shards != shards)
    KNELL_TRY(change_interest(connection, [&](FleetInterest& value) -> Result<void> {
      value.shards = shards;
      return {};
    }));
  lines.push_back(fmt::format("stream {}: the last presence of each host", kHostStream));
  lines.push_back(fmt::format("bucket {}: the selectors of the readers", kInterestBucket));
  return lines;
}

}  // namespace knell::fleet
