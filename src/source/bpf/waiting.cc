// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/waiting.h"

#include <cstring>

namespace knell::source {
namespace {

constexpr size_t kMostSpare = 256;  // picked, never tuned

}  // namespace

bool Waiting::has_room(int32_t pid, size_t bytes) const {
  return slots_of_.find(pid) == nullptr && slots_of_.size() < kMost && bytes_ + bytes <= kMostBytes;
}

std::optional<Waiting::Entry> Waiting::make_room(int32_t pid) {
  if (slots_of_.find(pid) != nullptr) return remove(pid);
  while (!order_.empty()) {
    const auto [oldest, start_ns] = order_.front();
    order_.pop_front();
    if (auto entry = take(oldest, start_ns)) return entry;
  }
  return std::nullopt;
}

Waiting::Entry& Waiting::add(int32_t pid, uint64_t start_ns, uint64_t stamp_ns,
                             std::string_view record) {
  while (!order_.empty()) {  // those that have gone
    const uint32_t* slot = slots_of_.find(order_.front().first);
    if (slot != nullptr && slots_[*slot].start_ns == order_.front().second) break;
    order_.pop_front();
  }
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_.back();
  free_.pop_back();
  *slots_of_.emplace(pid).first = slot;
  order_.emplace_back(pid, start_ns);
  added_.push_back(slot);
  Entry& entry = slots_[slot];
  entry.pid = pid;
  entry.start_ns = start_ns;
  entry.stamp_ns = stamp_ns;
  entry.no_mark = false;
  entry.record = record;
  bytes_ += record.size();
  return entry;
}

void Waiting::keep() {
  for (const uint32_t slot : added_) {
    Entry& entry = slots_[slot];
    if (entry.record.empty() || !entry.storage.empty()) continue;  // gone, or copied already
    if (!spare_.empty()) {
      entry.storage = std::move(spare_.back());
      spare_.pop_back();
    }
    entry.storage.resize((entry.record.size() + 7) / 8);
    std::memcpy(entry.storage.data(), entry.record.data(), entry.record.size());
    entry.record = {reinterpret_cast<const char*>(entry.storage.data()), entry.record.size()};
  }
  added_.clear();
}

Waiting::Entry* Waiting::find(int32_t pid) {
  const uint32_t* slot = slots_of_.find(pid);
  return slot == nullptr ? nullptr : &slots_[*slot];
}

std::optional<Waiting::Entry> Waiting::take(int32_t pid, uint64_t start_ns) {
  const uint32_t* slot = slots_of_.find(pid);
  if (slot == nullptr || slots_[*slot].start_ns != start_ns) return std::nullopt;
  return remove(pid);
}

Waiting::Entry Waiting::remove(int32_t pid) {
  const uint32_t slot = *slots_of_.find(pid);
  slots_of_.erase(pid);
  free_.push_back(slot);
  Entry entry = std::exchange(slots_[slot], Entry());
  bytes_ -= entry.record.size();
  return entry;
}

void Waiting::recycle(Entry&& entry) {
  if (!entry.storage.empty() && spare_.size() < kMostSpare)
    spare_.push_back(std::move(entry.storage));
}

bool Told::note(int32_t pid, uint64_t start_ns) {
  auto& cell = cells_[static_cast<uint32_t>(pid) % kCells];  // pids come in runs: side by side
  if (cell == std::pair(pid, start_ns)) return false;
  cell = {pid, start_ns};
  return true;
}

}  // namespace knell::source
