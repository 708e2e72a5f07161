// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/packet_buffer.h"

#include <utility>

#include "base/result.h"

namespace knell::lib {

void PacketBuffer::begin() {
  if (reader_) return;  // the reader still points into buffer_ or held_
  used_ = 0;
  held_.clear();
}

std::span<char> PacketBuffer::room() {
  KNELL_CHECK(!pending());
  const std::span<char> left = std::span(buffer_).subspan(used_);
  return left.size() < wire::kMostFrame ? std::span<char>() : left.first(wire::kMostFrame);
}

void PacketBuffer::take(std::string_view payload) {
  KNELL_CHECK(!pending());
  used_ = static_cast<size_t>(payload.data() + payload.size() - buffer_.data());
  reader_.emplace(payload);
  from_aside_ = false;
}

void PacketBuffer::put_aside(std::string_view payload) {
  if (dropped_ > 0 || aside_bytes_ + payload.size() > kMostAside) {
    wire::EventReader reader(payload);
    knell_event event;
    while (reader.next(event)) ++dropped_;
    return;
  }
  aside_.emplace_back(payload);
  aside_bytes_ += payload.size();
}

void PacketBuffer::drop_pending() noexcept {
  reader_.reset();
  aside_.clear();
  aside_bytes_ = 0;
}

bool PacketBuffer::open_next() {
  if (aside_.empty()) return false;
  held_.push_back(std::move(aside_.front()));
  aside_bytes_ -= held_.back().size();
  aside_.pop_front();
  reader_.emplace(held_.back());
  from_aside_ = true;
  return true;
}

bool PacketBuffer::next(knell_event& event) {
  while (!malformed_) {
    if (!reader_ && !open_next()) return false;
    if (reader_->next(event)) return true;
    malformed_ = reader_->malformed();
    reader_.reset();
  }
  return false;
}

}  // namespace knell::lib
