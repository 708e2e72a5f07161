// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal_backlog.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "journal/reader.h"

namespace knell::daemon {
namespace {

struct DoneRecord {
  uint64_t serial, lacks_some;
};

using Key = std::tuple<uint32_t, int32_t, int32_t, uint64_t>;

Key key_of(const knell_event& event) {
  return {event.type, event.pid, event.child_pid, event.mono_ns};
}

// Keys of the events in the journal at `path` in this period; empty if it cannot be read.
std::set<Key> keys_in(const std::string& path, int64_t since_ns, int64_t until_ns) {
  std::set<Key> keys;
  auto reader = journal::Reader::open(path);
  if (!reader || !reader->set_window(since_ns, until_ns)) return keys;
  journal::EveryEvent every;
  std::array<knell_event, 64> events;
  for (auto read = reader->read(events, every); read; read = reader->read(events, every)) {
    for (size_t i = 0; i < read->count; ++i) keys.insert(key_of(events[i]));
    if (read->end) break;
  }
  return keys;
}

}  // namespace

void JournalBacklog::push(uint64_t serial, std::string_view copy) {
  entries_.push_back({.serial = serial, .copy = std::string(copy)});
  bytes_ += copy.size();
}

void JournalBacklog::pop() {
  done_serial_ = entries_.front().serial;
  done_changed_ = true;
  bytes_ -= entries_.front().copy.size();
  entries_.pop_front();
  forwarded_ -= forwarded_ > 0 ? 1 : 0;
  saved_ -= saved_ > 0 ? 1 : 0;
}

// -------------------------------------------------------------------- events of an earlier daemon

void JournalBacklog::restore(uint32_t kind, std::string_view payload) {
  if (kind == event_kind_ && payload.size() > sizeof(uint64_t)) {
    uint64_t serial = 0;
    std::memcpy(&serial, payload.data(), sizeof serial);
    const std::string_view copy = payload.substr(sizeof serial);
    malformed_ |= !journal::is_copy(copy);
    if (!journal::is_copy(copy)) return;
    push(serial, copy);
    next_serial_ = std::max(next_serial_, serial + 1);
  } else if (kind == done_kind_ && payload.size() == sizeof(DoneRecord)) {
    DoneRecord done{};
    std::memcpy(&done, payload.data(), sizeof done);
    while (!entries_.empty() && entries_.front().serial <= done.serial) pop();
    next_serial_ = std::max(next_serial_, done.serial + 1);
    done_serial_ = done.serial;
    lacks_some_ = done.lacks_some != 0;
  }
}

std::function<uint64_t()> JournalBacklog::count_written(std::string path) {
  is_counting_ = !entries_.empty();
  std::vector<Key> restored;
  int64_t since_ns = INT64_MAX, until_ns = INT64_MIN;
  for (const Entry& entry : entries_) {
    const knell_event event = journal::read_copy(entry.copy.data()).event;
    restored.push_back(key_of(event));
    since_ns = std::min(since_ns, event.time_ns);
    until_ns = std::max(until_ns, event.time_ns);
  }
  return [path = std::move(path), restored = std::move(restored), since_ns, until_ns] {
    if (restored.empty()) return uint64_t{0};
    const std::set<Key> written = keys_in(path, since_ns, until_ns);
    // Events were written in their order.
    const auto first_left =
        std::ranges::find_if_not(restored, [&](const Key& key) { return written.contains(key); });
    return static_cast<uint64_t>(first_left - restored.begin());
  };
}

void JournalBacklog::drop_written(uint64_t count) {
  if (!std::exchange(is_counting_, false)) return;
  for (; count > 0; --count) pop();
  done_changed_ = true;  // makes save() commit, and forward() is called after a commit
}

int64_t JournalBacklog::last_time_ns() const {
  return entries_.empty() ? 0 : journal::read_copy(entries_.back().copy.data()).event.time_ns;
}

// ----------------------------------------------------------------------- events of this daemon

void JournalBacklog::add(const knell_event& event) {
  const size_t bytes = journal::bytes_of_copy(event);
  if (!overflow_.empty() || bytes_ + bytes > most_bytes_) {
    if (event.type != KNELL_EVENT_LOST) ++uncounted_;
    return overflow_.add(event);
  }
  std::string copy(bytes, '\0');
  journal::write_copy(event, copy.data());
  push(next_serial_++, copy);
}

void JournalBacklog::save(handover::State& state, bool whole) {
  if (whole) saved_ = 0;
  if (whole || std::exchange(done_changed_, false) || !overflow_.empty()) {
    const DoneRecord done{.serial = done_serial_,
                          .lacks_some = static_cast<uint64_t>(!overflow_.empty())};
    state.append(done_kind_, {reinterpret_cast<const char*>(&done), sizeof done});
  }
  for (; saved_ < entries_.size(); ++saved_) {
    const Entry& entry = entries_[saved_];
    std::string record(sizeof entry.serial, '\0');
    std::memcpy(record.data(), &entry.serial, sizeof entry.serial);
    state.append(event_kind_, record + entry.copy);
  }
}

void JournalBacklog::forward(journal::Recorder& recorder) {
  if (is_counting_) return;
  for (; forwarded_ < entries_.size(); ++forwarded_)
    recorder.add(journal::read_copy(entries_[forwarded_].copy.data()).event);
  recorder.count_lost(std::exchange(uncounted_, 0));
  if (overflow_.empty() || done_serial_ < overflow_serial_) return;
  // A separate entry, so that the counts of the recorder match the entries.
  const knell_event lost = std::exchange(overflow_, {}).event();
  std::string copy(journal::bytes_of_copy(lost), '\0');
  journal::write_copy(lost, copy.data());
  overflow_serial_ = next_serial_;
  push(next_serial_++, copy);
  recorder.add(lost);
  ++forwarded_;
}

void JournalBacklog::set_done(uint64_t done) {
  for (; done_ < done && forwarded_ > 0; ++done_) pop();
}

}  // namespace knell::daemon
