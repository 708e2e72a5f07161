// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/batch.h"

#include <fmt/format.h>

#include <utility>

#include "fleet/json_event.h"
#include "fleet/subject.h"

namespace knell::fleet {

std::string message_id(std::string_view stream, const EventBatch& batch) {
  return fmt::format("{}:{}-{}", stream, batch.first, batch.last);
}

void BatchCutter::add(const knell_event& event, uint64_t seq, uint64_t now_ns,
                      std::vector<EventBatch>& out) {
  const std::string line = json_of_host(host_, event);
  std::string subject = event_subject(shard_, host_, event);
  if (open_.count != 0 &&
      (open_.subject != subject || open_.payload.size() + line.size() + 1 > limits_.bytes))
    end(out);
  if (open_.count == 0) {
    open_.shard = shard_;
    open_.subject = std::move(subject);
    open_.first = seq;
    open_.time_ns = event.time_ns;
    opened_ns_ = now_ns;
  }
  open_.payload += line;
  open_.payload += '\n';
  open_.last = seq;
  open_.cursor.assign(event.cursor.data != nullptr ? event.cursor.data : "", event.cursor.size);
  ++open_.count;
  if (event.type == KNELL_EVENT_LOST) open_.lost += event.lost_count;
  if (open_.count == limits_.events) end(out);
}

void BatchCutter::end(std::vector<EventBatch>& out) {
  if (open_.count != 0) out.push_back(std::exchange(open_, {}));
}

void BatchCutter::end_old(uint64_t now_ns, std::vector<EventBatch>& out) {
  if (const auto due = due_ns(); due && *due <= now_ns) end(out);
}

std::optional<uint64_t> BatchCutter::due_ns() const {
  if (open_.count == 0) return std::nullopt;
  return opened_ns_ + static_cast<uint64_t>(limits_.age.count());
}

}  // namespace knell::fleet
