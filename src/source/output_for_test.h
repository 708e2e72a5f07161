// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/boot_id.h"
#include "base/clock.h"
#include "event/batch.h"
#include "event/fields.h"
#include "source/output.h"
#include "source/source.h"

namespace knell::source {

inline std::string text_of(const knell_string& text) {
  return text.data == nullptr ? std::string() : std::string(text.data, text.size);
}

// A finished event as it was in the batch. Owns its texts.
struct KeptEvent {
  explicit KeptEvent(const Slot& slot)
      : event(slot.event),
        levels(slot.levels.begin(), slot.levels.end()),
        levels_known(slot.levels_known),
        roots(slot.note) {
    auto kept = std::make_shared<std::deque<std::string>>();
    event::for_each_row<event::kFields>([&](auto row) {
      constexpr const event::Field& kField = event::kFields[row];
      if constexpr (kField.is(event::Member::Kind::kString)) {
        knell_string& text = event::value_of<kField.member>(event);
        if (text.data == nullptr) return;
        const std::string& copy = kept->emplace_back(text.data, text.size);
        text = {copy.data(), copy.size()};
      }
    });
    texts = std::move(kept);
  }
  bool is(uint32_t type, int32_t pid) const { return event.type == type && event.pid == pid; }

  knell_event event;
  std::vector<event::NamespacePids> levels;
  bool levels_known;
  uint64_t roots;  // a bit for each root in KeptOutput::roots that its process is under
  std::shared_ptr<const std::deque<std::string>> texts;
};

// For tests: an output whose sink wants every event, and keeps what it gets.
class KeptOutput : public Sink {
 public:
  struct Ended {
    int32_t pid;
    uint64_t start;
    std::vector<event::NamespacePids> levels;
  };
  struct ThreadEvent {
    event::Raw raw;
    std::optional<uint32_t> uid;
    std::vector<event::NamespacePids> levels;
    bool levels_known;
  };
  struct Birth {
    process::Birth birth;  // without its levels
    std::vector<event::NamespacePids> levels;
  };

  explicit KeptOutput(size_t capacity = 1024, const Clock& clock = system_clock(),
                      uint32_t boot = boot_number())
      : batch(capacity), out(batch, *this, clock, boot) {}

  // Reads once, at most `bound` events and at most what fits.
  Result<Drained> drain_once(Source& source, size_t bound = SIZE_MAX) {
    out.begin_drain();
    auto drained = source.drain(std::min(bound, out.bound()));
    take();
    return drained;
  }
  Result<void> check_health(Source& source) {
    out.begin_drain();
    auto checked = source.check_health();
    take();
    return checked;
  }
  // Moves the events of the batch to `events`.
  void take() {
    for (size_t i = 0; i < batch.size(); ++i)
      if (batch[i].ready) events.emplace_back(batch[i]);
    batch.clear();
  }
  // The first event of this type and process; nullptr: none.
  const KeptEvent* find(uint32_t type, int32_t pid) const {
    const auto at =
        std::ranges::find_if(events, [&](const KeptEvent& kept) { return kept.is(type, pid); });
    return at == events.end() ? nullptr : &*at;
  }
  size_t count(uint32_t type, int32_t pid) const {
    return static_cast<size_t>(
        std::ranges::count_if(events, [&](const KeptEvent& kept) { return kept.is(type, pid); }));
  }

  uint32_t types() const override { return shown; }
  bool wants(Slot& slot, const filter::Ancestry& ancestry) override {
    for (size_t i = 0; i < roots.size(); ++i)
      if (ancestry.is_under(roots[i], slot.event)) slot.note |= uint64_t{1} << i;
    return true;
  }
  void on_process_ended(int32_t pid, uint64_t start,
                        std::span<const event::NamespacePids> levels) override {
    ended.push_back({.pid = pid, .start = start, .levels = {levels.begin(), levels.end()}});
  }
  void on_thread_event(const event::Raw& raw, const Owner& owner) override {
    threads.push_back({.raw = raw,
                       .uid = owner.uid,
                       .levels = {owner.levels.begin(), owner.levels.end()},
                       .levels_known = owner.levels_known});
  }
  void on_birth(const process::Birth& birth) override {
    births.push_back({.birth = birth, .levels = {birth.levels.begin(), birth.levels.end()}});
    births.back().birth.levels = {};
  }
  void on_births_lost(uint64_t count) override { births_lost += count; }

  event::Batch batch;
  Output out;
  uint32_t shown = KNELL_EVENT_ALL | KNELL_EVENT_LOST;
  std::vector<filter::Root> roots;
  std::vector<KeptEvent> events;
  std::vector<Ended> ended;
  std::vector<ThreadEvent> threads;
  std::vector<Birth> births;
  uint64_t births_lost = 0;
};

}  // namespace knell::source
