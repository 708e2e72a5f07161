// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// An entry is the structure, followed by the bytes of its texts in the order of the table of
// fields, up to a multiple of 8 bytes.
#include "journal/event_queue.h"

#include <algorithm>

namespace knell::journal {
namespace {

using event::kFields;
using event::Member;

constexpr size_t aligned(size_t bytes) { return (bytes + 7) / 8 * 8; }

template <class Event, class F>
void for_each_text(Event& event, F visit) {
  event::for_each_row<kFields>([&](auto row) {
    constexpr const event::Field& kField = kFields[row];
    if constexpr (kField.is(Member::Kind::kString)) visit(event::value_of<kField.member>(event));
  });
}

constexpr uint32_t bits_of(uint32_t type) {
  return type == KNELL_EVENT_EXIT ? type | KNELL_EVENT_NONZERO_EXIT : type;
}

}  // namespace

void Hole::add(const knell_event& event) {
  const bool lost = event.type == KNELL_EVENT_LOST;
  Hole one{.count = lost ? event.lost_count : 1,
           .exact = !lost || (event.has & KNELL_HAS_COUNT) != 0,
           .types = lost ? event.lost_types : bits_of(event.type),
           .from_ns = lost ? event.lost_from_ns : event.mono_ns,
           .until_ns = event.mono_ns,
           .from_time_ns = lost ? event.lost_from_time_ns : event.time_ns,
           .until_time_ns = event.time_ns};
  add(one);
}

void Hole::add(const Hole& other) {
  if (other.empty()) return;
  const bool first = empty();
  count += other.count;
  exact = exact && other.exact;
  types |= other.types;
  from_ns = first ? other.from_ns : std::min(from_ns, other.from_ns);
  from_time_ns = first ? other.from_time_ns : std::min(from_time_ns, other.from_time_ns);
  until_ns = std::max(until_ns, other.until_ns);
  until_time_ns = std::max(until_time_ns, other.until_time_ns);
}

knell_event Hole::event() const {
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.lost_types = types;
  lost.lost_from_ns = from_ns;
  lost.mono_ns = lost.lost_until_ns = until_ns;
  lost.lost_from_time_ns = from_time_ns;
  lost.time_ns = lost.lost_until_time_ns = until_time_ns;
  if (exact) {
    lost.has = KNELL_HAS_COUNT;
    lost.flags = KNELL_FLAG_EXACT;
    lost.lost_count = count;
  }
  return lost;
}

void EventQueue::reserve(size_t bytes) {
  if (bytes <= capacity_) return;
  const size_t wanted = std::max({bytes, capacity_ * 2, size_t{64} << 10});
  auto larger = std::make_unique_for_overwrite<char[]>(wanted);
  if (used_ != 0) std::memcpy(larger.get(), buffer_.get(), used_);
  buffer_ = std::move(larger);
  capacity_ = wanted;
}

void EventQueue::push(const knell_event& event) {
  const size_t bytes = bytes_of_copy(event);
  if (!hole_.empty() || used_ + bytes > most_) return hole_.add(event);
  reserve(used_ + bytes);
  write_copy(event, buffer_.get() + used_);
  used_ += bytes;
}

// ------------------------------------------------------------------------------------------ copies

size_t bytes_of_copy(const knell_event& event) {
  size_t bytes = sizeof event;
  for_each_text(event, [&](const knell_string& text) { bytes += text.size; });
  return aligned(bytes);
}

void write_copy(const knell_event& event, char* out) {
  std::memcpy(out, &event, sizeof event);
  out += sizeof event;
  for_each_text(event, [&](const knell_string& text) {
    if (text.size != 0) std::memcpy(out, text.data, text.size);
    out += text.size;
  });
}

EventCopy read_copy(const char* copy) {
  EventCopy out{};
  std::memcpy(&out.event, copy, sizeof out.event);
  size_t at = sizeof out.event;
  for_each_text(out.event, [&](knell_string& text) {
    if (text.data != nullptr) text.data = copy + at;
    at += text.size;
  });
  out.bytes = aligned(at);
  return out;
}

bool is_copy(std::string_view bytes) {
  knell_event event{};
  if (bytes.size() < sizeof event) return false;
  std::memcpy(&event, bytes.data(), sizeof event);
  bool fits = event.size == sizeof event;
  for_each_text(event, [&](const knell_string& text) { fits &= text.size <= bytes.size(); });
  return fits && bytes_of_copy(event) == bytes.size();
}

}  // namespace knell::journal
