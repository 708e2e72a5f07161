// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/stream_reader.h"

#include <fmt/format.h>
#include <nats/nats.h>
#include <poll.h>

#include <algorithm>

#include "fleet/subject.h"

namespace knell::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr nanoseconds kHeartbeat = std::chrono::seconds(5);
constexpr nanoseconds kInactive = std::chrono::seconds(30);  // then the server removes the consumer
// More than the difference between the clocks of the servers of a cluster.
constexpr nanoseconds kGoBack = std::chrono::seconds(10);
constexpr milliseconds kRetry(250);

}  // namespace

struct StreamReader::Subscription {
  natsSubscription* nats = nullptr;
  Subscription() = default;
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  ~Subscription() { natsSubscription_Destroy(nats); }
};

StreamReader::StreamReader(Connection& connection, std::string stream, std::string subjects)
    : connection_(connection), stream_(std::move(stream)), subjects_(std::move(subjects)) {}
StreamReader::~StreamReader() = default;

Result<std::unique_ptr<StreamReader>> StreamReader::create(Connection& connection,
                                                           const std::string& stream,
                                                           const std::string& subjects, From from) {
  std::unique_ptr<StreamReader> reader(new StreamReader(connection, stream, subjects));
  jsStreamInfo* info = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      js_GetStreamInfo(&info, connection.jetstream(), stream.c_str(), nullptr, &code);
  if (status == NATS_NOT_FOUND || status == NATS_NO_RESPONDERS || code == JSStreamNotFoundErr)
    return say(ENOENT, fmt::format("the server has no stream {}: run knell fleet init", stream));
  if (status != NATS_OK) {
    const std::string refused = connection.refusal();
    return say(refused.empty() ? ETIMEDOUT : EACCES,
               fmt::format("cannot read stream {}: {}", stream,
                           refused.empty() ? natsStatus_GetText(status) : refused.c_str()));
  }
  if (from == From::kNow) {
    reader->next_seq_ = info->State.LastSeq + 1;
    reader->last_time_ns_ = info->State.LastTime;
    reader->begin_time_ns_ = std::max<int64_t>(info->State.LastTime, 0) + 1;
  } else if (info->State.Msgs != 0) {
    reader->pending_ = info->State.Msgs;
    reader->end_seq_ = info->State.LastSeq;
  }
  jsStreamInfo_Destroy(info);
  reader->interruptions_ = connection.interruptions();
  KNELL_TRY(reader->subscribe());
  return reader;
}

Result<void> StreamReader::subscribe() {
  subscription_.reset();
  jsSubOptions how;
  jsSubOptions_Init(&how);
  how.Stream = stream_.c_str();
  how.Config.AckPolicy = js_AckNone;
  how.Config.FlowControl = true;
  how.Config.Heartbeat = kHeartbeat.count();
  how.Config.InactiveThreshold = kInactive.count();
  how.Config.MemoryStorage = true;
  const uint64_t interruptions = connection_.interruptions();
  // A stream that went back in time may have other messages under the numbers that were read. It is
  // not known here which server of a cluster has the stream, so each interruption may have been a
  // restart of that server.
  if (interruptions == interruptions_ || last_time_ns_ == 0) {
    how.Config.DeliverPolicy = js_DeliverByStartSequence;
    how.Config.OptStartSeq = next_seq_;
  } else {
    how.Config.DeliverPolicy = js_DeliverByStartTime;
    how.Config.OptStartTime = std::max(last_time_ns_ - kGoBack.count(), begin_time_ns_);
  }
  auto subscription = std::make_unique<Subscription>();
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status = js_SubscribeSync(&subscription->nats, connection_.jetstream(),
                                             subjects_.c_str(), nullptr, &how, &code);
  if (status != NATS_OK) {
    const char* detail = nats_GetLastError(nullptr);
    return say(EIO, fmt::format("cannot read stream {}: {}", stream_,
                                detail != nullptr && *detail != '\0' ? detail
                                                                     : natsStatus_GetText(status)));
  }
  subscription_ = std::move(subscription);
  interruptions_ = interruptions;
  consumer_seq_ = 0;
  return {};
}

std::optional<Message> StreamReader::next(milliseconds timeout) {
  if (!subscription_ || connection_.interruptions() != interruptions_) {
    if (!connection_.connected() || !subscribe()) {
      // There is no consumer now: wait for the connection; the next call tries again.
      pollfd news{connection_.wake_fd(), POLLIN, 0};
      (void)::poll(&news, 1, static_cast<int>(std::min(timeout, kRetry).count()));
      connection_.clear_wake();
      return std::nullopt;
    }
  }
  natsMsg* got = nullptr;
  const natsStatus status = natsSubscription_NextMsg(&got, subscription_->nats, timeout.count());
  if (status == NATS_TIMEOUT) return std::nullopt;
  if (status != NATS_OK) {
    subscription_.reset();
    return std::nullopt;
  }
  const std::unique_ptr<natsMsg, decltype(&natsMsg_Destroy)> message(got, &natsMsg_Destroy);
  jsMsgMetaData* about = nullptr;
  if (natsMsg_GetMetaData(&about, got) != NATS_OK) return std::nullopt;
  const std::unique_ptr<jsMsgMetaData, decltype(&jsMsgMetaData_Destroy)> owned(
      about, &jsMsgMetaData_Destroy);
  if (about->Sequence.Consumer != consumer_seq_ + 1) {
    subscription_.reset();  // messages were dropped here: read them again
    return std::nullopt;
  }
  consumer_seq_ = about->Sequence.Consumer;
  next_seq_ = about->Sequence.Stream + 1;
  last_time_ns_ = about->Timestamp;
  pending_ = about->NumPending;
  return Message{natsMsg_GetSubject(got),
                 std::string(natsMsg_GetData(got), static_cast<size_t>(natsMsg_GetDataLength(got))),
                 about->Sequence.Stream, about->Timestamp};
}

}  // namespace knell::fleet
