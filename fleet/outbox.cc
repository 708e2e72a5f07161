// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/outbox.h"

#include <algorithm>
#include <utility>

namespace knell::fleet {
namespace {

size_t bytes_of(const EventBatch& batch) { return sizeof batch + batch.payload.size(); }

}  // namespace

void Outbox::push(EventBatch batch) {
  bytes_ += bytes_of(batch);
  waiting_bytes_ += bytes_of(batch);
  events_ += batch.count;
  waiting_events_ += batch.count;
  batches_.push_back({std::move(batch), 0});
  keep_to_limits();
}

void Outbox::keep_to_limits() {
  while ((bytes_ > limits_.bytes || events_ > limits_.events) && next_ > 0) {
    release_front();
    ++released_early_;
  }
}

const EventBatch* Outbox::next() const {
  return next_ < batches_.size() ? &batches_[next_].batch : nullptr;
}

void Outbox::stored(uint64_t stream_seq, bool repeat, uint64_t now_ns) {
  Kept& kept = batches_[next_];
  kept.stored_ns = now_ns;
  sent_ = std::max(sent_, kept.batch.last);
  waiting_bytes_ -= bytes_of(kept.batch);
  waiting_events_ -= kept.batch.count;
  ++next_;
  if (repeat) return keep_to_limits();  // `stream_seq` is that of the first copy
  if (kept.batch.shard != shard_) stream_seq_ = 0;
  shard_ = kept.batch.shard;
  const bool went_back = stream_seq <= stream_seq_;
  stream_seq_ = std::max(stream_seq_, stream_seq);
  if (went_back) resend();
  keep_to_limits();
}

void Outbox::drop() {
  const size_t bytes = bytes_of(batches_[next_].batch);
  waiting_bytes_ -= bytes;
  bytes_ -= bytes;
  events_ -= batches_[next_].batch.count;
  waiting_events_ -= batches_[next_].batch.count;
  batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(next_));
}

void Outbox::resend() {
  stream_seq_ = 0;
  if (next_ == 0) return;
  ++resends_;
  next_ = 0;
  waiting_bytes_ = bytes_;
  waiting_events_ = events_;
}

void Outbox::release_front() {
  acked_ = std::max(acked_, batches_.front().batch.last);
  released_ = std::move(batches_.front().batch.cursor);
  events_ -= batches_.front().batch.count;
  bytes_ -= bytes_of(batches_.front().batch);
  batches_.pop_front();
  --next_;
}

std::optional<std::string> Outbox::release(uint64_t now_ns) {
  const auto hold = static_cast<uint64_t>(limits_.hold.count());
  while (next_ > 0 && batches_.front().stored_ns + hold <= now_ns) release_front();
  return std::exchange(released_, std::nullopt);
}

}  // namespace knell::fleet
