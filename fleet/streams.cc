// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/streams.h"

#include <fmt/format.h>
#include <nats/nats.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/duration.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

// A forwarder may send a message again for as long as it keeps it (Outbox::Limits::hold), so the
// server must know its ids for longer.
constexpr std::chrono::nanoseconds kDuplicates = std::chrono::minutes(10);
constexpr int64_t kHostBytes = int64_t{256} << 20;  // presence of 100,000 hosts and more

struct Stream {
  const char* name;
  const char* subject;
  int64_t bytes;
  int64_t age_ns;
  int64_t duplicates_ns;
  int64_t messages_a_subject;
};

Result<void> create(Connection& connection, const Stream& stream, const StreamLimits& limits) {
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  const char* subject = stream.subject;
  config.Name = stream.name;
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
  if (status == NATS_NO_RESPONDERS)
    return say(ENOTSUP, "this server has no JetStream: start nats-server with -js");
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

Result<std::vector<std::string>> create_streams(Connection& connection,
                                                const StreamLimits& limits) {
  const auto duplicates = std::min(kDuplicates, limits.age).count();
  const std::array streams{
      Stream{kEventStream, kEventSubjects, limits.bytes, limits.age.count(), duplicates, -1},
      // The last message of each host, for ever: a host that is gone must be seen to be silent.
      Stream{kHostStream, kHostSubjects, kHostBytes, 0, duplicates, 1}};
  KNELL_TRY(create(connection, streams[0], limits));
  StreamLimits of_hosts = limits;
  of_hosts.discard_new = false;
  KNELL_TRY(create(connection, streams[1], of_hosts));
  KNELL_TRY(create_bucket(connection, limits.replicas));
  return std::vector<std::string>{
      fmt::format("stream {}: events of {}, up to {} bytes, in {} {}", kEventStream,
                  duration_text(limits.age), limits.bytes, limits.replicas,
                  limits.replicas == 1 ? "copy" : "copies"),
      fmt::format("stream {}: the last presence of each host", kHostStream),
      fmt::format("bucket {}: what readers ask for", kInterestBucket)};
}

}  // namespace knell::fleet
