// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The state by which the next process continues to read the rings where this one was killed. A
// record of the state has the position in each ring, and the records that were read from the rings
// and are not in the stream yet: held records, exits that wait for their mark, marks of `unsent`.
// The room in the rings is freed only when this record is committed, together with the events that
// were made from these records. If this process reads more after a commit and is killed, the next
// process reads the same records again and makes the same events, which were sent to no client.
// client was sent.
#include <algorithm>
#include <cstring>
#include <utility>

#include "source/bpf/bpf.h"

namespace knell::source {

struct Bpf::SavedReader {
  uint64_t whole;  // 1: the lists that follow are complete; 0: they have only the changes
  std::array<uint64_t, kRings> positions;
  std::array<uint64_t, kClasses> reported_lost, last_ns;
  knell_losses reported_losses;
  uint64_t reported_births, hole_until_ns, held_until_ns, received, unread, unsent_count;
  uint64_t stores_execs, attached;
  uint32_t connector_mask, connector_filtering;  // mask 0: the connector was not open
  RootMap::Saved roots;
  // The lists that follow, in this order.
  uint64_t held, removed, waiting, noted, unsent_anew, unsent_consumed, unsent;
};

namespace {

template <class T>
void put(std::string& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_text(std::string& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  out.append(text);
}

class Reading {
 public:
  explicit Reading(std::string_view text) : text_(text) {}
  template <class T>
  T take() {
    T value{};
    const std::string_view bytes = text(sizeof value);
    if (bytes.size() == sizeof value) bytes.copy(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  std::string_view take_text() { return text(take<uint64_t>()); }
  bool failed() const { return failed_; }

 private:
  std::string_view text(uint64_t bytes) {
    failed_ |= bytes > text_.size();
    if (failed_) return {};
    const std::string_view taken = text_.substr(0, bytes);
    text_.remove_prefix(bytes);
    return taken;
  }

  std::string_view text_;
  bool failed_ = false;
};

struct ProcessStart {
  uint64_t start;
  int64_t pid;
};

}  // namespace

Programs::Set Bpf::attached_in(const Kept& kept) {
  SavedReader last{};
  if (kept.records.empty() || kept.records.back().size() < sizeof last) return {};
  std::memcpy(&last, kept.records.back().data(), sizeof last);
  return Programs::Set::of_bits(static_cast<uint32_t>(last.attached));
}

void Bpf::save(bool whole) {
  if (kept_ == nullptr) return;
  SavedReader reader{};
  reader.whole = static_cast<uint64_t>(whole);
  for (size_t i = 0; i < kRings; i++) reader.positions[i] = rings_[i].position();
  reader.reported_lost = reported_lost_;
  reader.last_ns = last_ns_;
  reader.reported_losses = reported_losses_;
  reader.reported_births = reported_births_;
  reader.hole_until_ns = hole_until_ns_;
  reader.held_until_ns = held_until_ns_;
  reader.received = received_;
  reader.unread = unread_;
  reader.unsent_count = unsent_.count();
  reader.stores_execs = static_cast<uint64_t>(stores_execs_);
  reader.attached = programs_.attached().bits();
  reader.roots = roots_.save();
  if (connector_ != nullptr) {
    reader.connector_mask = connector_->mask();
    reader.connector_filtering = static_cast<uint32_t>(connector_->filtering());
  }

  std::string lists;
  reader.held = held_.size();
  for (const Held& held : held_) put_text(lists, held.record());
  for (const auto& [pid, start_ns] : waiting_.take_removed()) {
    if (whole) continue;
    put(lists, ProcessStart{.start = start_ns, .pid = pid});
    ++reader.removed;
  }
  waiting_.unsaved(whole, [&](const WaitingExits::Entry& entry) {
    put(lists, uint64_t{entry.no_mark});
    put_text(lists, entry.record);
    ++reader.waiting;
  });
  reported_exits_.unsaved(whole, [&](int32_t pid, uint64_t start) {
    put(lists, ProcessStart{.start = start, .pid = pid});
    ++reader.noted;
  });
  const auto marks = unsent_.unsaved(whole);
  reader.unsent_anew = static_cast<uint64_t>(marks.anew);
  reader.unsent_consumed = marks.consumed;
  reader.unsent = marks.marks.size();
  for (const knell_mark& mark : marks.marks) put(lists, mark);
  std::string out;
  put(out, reader);
  kept_->handover.state->append(kept_->kind, out + lists);
}

bool Bpf::saved() {
  if (kept_ == nullptr) return false;
  for (Ring& ring : rings_) ring.release();
  programs_.forget_detached();
  return !rings_empty();
}

// Continues at the position of the earlier process. False: its state does not match these programs.
bool Bpf::restore() {
  if (kept_->records.empty()) return false;
  SavedReader reader{};
  for (const std::string& record : kept_->records) {
    Reading reading(record);
    reader = reading.take<SavedReader>();
    if (reader.whole != 0) {
      std::ignore = waiting_.take_removed();
      waiting_ = WaitingExits();
      reported_exits_ = ReportedExits();
    }
    held_.clear();
    for (uint64_t i = 0; i < reader.held && !reading.failed(); i++) {
      const std::string_view bytes = reading.take_text();
      if (bytes.size() < sizeof(knell_record)) return false;
      hold(reinterpret_cast<const knell_record*>(bytes.data())->stamp_ns, bytes);
    }
    for (uint64_t i = 0; i < reader.removed && !reading.failed(); i++) {
      const auto one = reading.take<ProcessStart>();
      if (auto gone = waiting_.take(static_cast<int32_t>(one.pid), one.start))
        waiting_.recycle(*std::move(gone));
    }
    for (uint64_t i = 0; i < reader.waiting && !reading.failed(); i++) {
      const bool no_mark = reading.take<uint64_t>() != 0;
      const std::string bytes(reading.take_text());  // aligned
      const auto decoded = decode(bytes);
      if (!decoded || !waiting_.has_room(decoded->pid(), bytes.size())) return false;
      waiting_.add(decoded->pid(), decoded->start_ns(), decoded->head->stamp_ns, bytes).no_mark =
          no_mark;
      waiting_.keep();
    }
    for (uint64_t i = 0; i < reader.noted && !reading.failed(); i++) {
      const auto one = reading.take<ProcessStart>();
      (void)reported_exits_.note(static_cast<int32_t>(one.pid), one.start);
    }
    std::vector<knell_mark> marks;
    for (uint64_t i = 0; i < reader.unsent && !reading.failed(); i++)
      marks.push_back(reading.take<knell_mark>());
    unsent_.restore(reader.unsent_count, reader.unsent_anew != 0, reader.unsent_consumed,
                    std::move(marks));
    if (reading.failed()) return false;
  }
  for (size_t i = 0; i < kRings; i++)
    if (!rings_[i].seek(reader.positions[i])) return false;
  reported_lost_ = reader.reported_lost;
  last_ns_ = reader.last_ns;
  reported_losses_ = reader.reported_losses;
  reported_births_ = reader.reported_births;
  hole_until_ns_ = reader.hole_until_ns;
  held_until_ns_ = reader.held_until_ns;
  received_ = reader.received;
  unread_ = reader.unread;
  stores_execs_ = reader.stores_execs != 0;
  roots_.restore(reader.roots);
  dropped_details_ = true;
  restored_ = true;
  take_over_connector(reader);
  return true;
}

// The programs see kConnectorTypes in the filter of a socket. A stored socket was subscribed all
// the time.
void Bpf::take_over_connector(const SavedReader& reader) {
  const uint32_t types = programs_.settings().mask & kConnectorTypes;
  handover::Keeper& keeper = kept_->handover.keeper;
  UniqueFd fd = keeper.take(kStoredSocket);
  if (types == 0) {
    if (fd) keeper.remove(kStoredSocket);
    return;
  }
  missing_since_ns_ = std::max(last_ns_[kExits], last_ns_[kOthers]);
  if (!fd || reader.connector_filtering > static_cast<uint32_t>(Filtering::kNone)) {
    unreported_ = types;
    return;
  }
  auto connector = Connector::take_over(std::move(fd), reader.connector_mask,
                                        static_cast<Filtering>(reader.connector_filtering),
                                        connector_options(types));
  if (connector)
    connector_ = *std::move(connector);
  else
    keeper.remove(kStoredSocket);
  unreported_ = connector_ == nullptr ? types : types & ~reader.connector_mask;
}

}  // namespace knell::source
