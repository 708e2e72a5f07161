// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/batch.h"

#include <fmt/format.h>

#include <utility>

#include "fleet/subject.h"

namespace knell::fleet {

std::string message_id(std::string_view stream, const EventBatch& batch) {
  return fmt::format("{}:{}-{}", stream, batch.first, batch.last);
}

// Writes the event as JSON to `buffer_`. knell_event_json() needs a single pass if the buffer is
// several times larger than the text.
std::string_view BatchCutter::line_of(const knell_event& event) {
  for (;;) {
    const ssize_t size = knell_event_json(&event, buffer_.data(), buffer_.size());
    if (size < 0) return {};  // out of memory
    if (static_cast<size_t>(size) < buffer_.size())
      return {buffer_.data(), static_cast<size_t>(size)};
    buffer_.resize(2 * static_cast<size_t>(size));
  }
}

void BatchCutter::add(const knell_event& event, uint64_t seq, uint64_t now_ns,
                      std::vector<EventBatch>& out) {
  const std::string_view line = line_of(event);
  if (line.empty()) return;
  const std::string_view ended = ended_token(event);
  // {"type":...} becomes {"host":"NAME","type":...}. The name of a host has no characters to
  // escape.
  const size_t bytes = line.size() + host_.size() + 11;
  if (open_.count != 0 && (open_.shard != shard_ || event.type != open_type_ ||
                           ended != open_ended_ || payload_.size() + bytes > limits_.bytes))
    end(out);
  if (open_.count == 0) {
    open_.shard = shard_;
    open_.subject = event_subject(shard_, host_, event);
    open_type_ = event.type;
    open_ended_ = ended;
    open_.first = seq;
    open_.time_ns = event.time_ns;
    opened_ns_ = now_ns;
  }
  payload_ += R"({"host":")";
  payload_ += host_;
  payload_ += R"(",)";
  payload_ += line.substr(1);
  payload_ += '\n';
  open_.last = seq;
  open_.cursor.assign(event.cursor.data != nullptr ? event.cursor.data : "", event.cursor.size);
  ++open_.count;
  if (event.type == KNELL_EVENT_LOST) open_.lost += event.lost_count;
  if (open_.count == limits_.events) end(out);
}

void BatchCutter::end(std::vector<EventBatch>& out) {
  if (open_.count == 0) return;
  open_.payload = payload_;  // a copy of the exact size, which may be kept for minutes
  payload_.clear();
  out.push_back(std::exchange(open_, {}));
}

void BatchCutter::end_old(uint64_t now_ns, std::vector<EventBatch>& out) {
  if (const auto due = due_ns(); due && *due <= now_ns) end(out);
}

std::optional<uint64_t> BatchCutter::due_ns() const {
  if (open_.count == 0) return std::nullopt;
  return opened_ns_ + static_cast<uint64_t>(limits_.age.count());
}

}  // namespace knell::fleet
