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
  batches_.push_back({std::move(batch), 0});
  while (bytes_ > limits_.bytes && next_ > 0) {
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
  ++next_;
  if (repeat) return;  // `stream_seq` is that of the first copy
  const bool went_back = stream_seq <= stream_seq_;
  stream_seq_ = std::max(stream_seq_, stream_seq);
  if (went_back) resend();
}

void Outbox::drop() {
  const size_t bytes = bytes_of(batches_[next_].batch);
  waiting_bytes_ -= bytes;
  bytes_ -= bytes;
  batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(next_));
}

void Outbox::resend() {
  stream_seq_ = 0;
  if (next_ == 0) return;
  ++resends_;
  next_ = 0;
  waiting_bytes_ = bytes_;
}

void Outbox::release_front() {
  acked_ = std::max(acked_, batches_.front().batch.last);
  bytes_ -= bytes_of(batches_.front().batch);
  batches_.pop_front();
  --next_;
}

bool Outbox::release(uint64_t now_ns) {
  const uint64_t before = acked_;
  const auto hold = static_cast<uint64_t>(limits_.hold.count());
  while (next_ > 0 && batches_.front().stored_ns + hold <= now_ns) release_front();
  return acked_ != before;
}

}  // namespace knell::fleet
