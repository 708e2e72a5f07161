// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/waiting_exits.h"

#include <cstring>

namespace knell::source {
namespace {

constexpr size_t kMostSpare = 256;  // chosen, not measured

}  // namespace

bool WaitingExits::has_room(int32_t pid, size_t bytes) const {
  return slots_of_.find(pid) == nullptr && slots_of_.size() < kMost && bytes_ + bytes <= kMostBytes;
}

WaitingExits::Entry* WaitingExits::find(const std::pair<int32_t, uint64_t>& process) {
  const uint32_t* slot = slots_of_.find(process.first);
  if (slot == nullptr || slots_[*slot].start_ns != process.second) return nullptr;
  return &slots_[*slot];
}

void WaitingExits::drop_gone() {
  while (!order_.empty()) {
    const Entry* entry = find(order_.front());
    if (entry != nullptr && !entry->overdue) return;
    order_.pop_front();
  }
}

std::optional<WaitingExits::Entry> WaitingExits::make_room(int32_t pid) {
  if (slots_of_.find(pid) != nullptr) return remove(pid);
  for (Order* order : {&overdue_order_, &order_}) {
    while (!order->empty()) {
      const auto oldest = order->front();
      order->pop_front();
      if (find(oldest) != nullptr) return remove(oldest.first);
    }
  }
  return std::nullopt;
}

WaitingExits::Entry* WaitingExits::next_overdue(uint64_t until_ns) {
  drop_gone();
  Entry* entry = order_.empty() ? nullptr : find(order_.front());
  if (entry == nullptr || entry->stamp_ns > until_ns) return nullptr;
  set_overdue(*entry);
  return entry;
}

void WaitingExits::set_overdue(Entry& entry) {
  if (std::exchange(entry.overdue, true)) return;
  // An entry that stays long at the front keeps removed ones behind it in the queue: erase them.
  if (overdue_order_.size() > 2 * overdue_ + 64)
    std::erase_if(overdue_order_, [&](const auto& process) { return find(process) == nullptr; });
  overdue_order_.emplace_back(entry.pid, entry.start_ns);
  ++overdue_;
}

uint64_t WaitingExits::next_stamp_ns() {
  drop_gone();
  return order_.empty() ? 0 : find(order_.front())->stamp_ns;
}

WaitingExits::Entry* WaitingExits::next_unwatched() {
  for (size_t left = overdue_order_.size(); left > 0 && unwatched() > 0; left--) {
    const auto process = overdue_order_.front();
    overdue_order_.pop_front();
    Entry* entry = find(process);
    if (entry == nullptr) continue;
    overdue_order_.push_back(process);
    if (!entry->pidfd) return entry;
  }
  return nullptr;
}

void WaitingExits::set_pidfd(Entry& entry, UniqueFd pidfd) {
  if (entry.pidfd) --watched_;
  if (pidfd) ++watched_;
  entry.pidfd = std::move(pidfd);
}

WaitingExits::Entry& WaitingExits::add(int32_t pid, uint64_t start_ns, uint64_t stamp_ns,
                                       std::string_view record) {
  drop_gone();
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
  entry.no_mark = entry.overdue = entry.saved = false;
  entry.record = record;
  bytes_ += record.size();
  return entry;
}

void WaitingExits::keep() {
  for (const uint32_t slot : added_) {
    Entry& entry = slots_[slot];
    if (entry.record.empty() || !entry.storage.empty()) continue;  // removed, or copied already
    if (!spare_.empty()) {
      entry.storage = std::move(spare_.back());
      spare_.pop_back();
    }
    entry.storage.resize((entry.record.size() + 7) / 8);
    std::memcpy(entry.storage.data(), entry.record.data(), entry.record.size());
    entry.record = {reinterpret_cast<const char*>(entry.storage.data()), entry.record.size()};
    if (saves_) unsaved_.push_back(slot);
  }
  added_.clear();
}

WaitingExits::Entry* WaitingExits::find(int32_t pid) {
  const uint32_t* slot = slots_of_.find(pid);
  return slot == nullptr ? nullptr : &slots_[*slot];
}

std::optional<WaitingExits::Entry> WaitingExits::take(int32_t pid, uint64_t start_ns) {
  if (find({pid, start_ns}) == nullptr) return std::nullopt;
  return remove(pid);
}

WaitingExits::Entry WaitingExits::remove(int32_t pid) {
  const uint32_t slot = *slots_of_.find(pid);
  slots_of_.erase(pid);
  free_.push_back(slot);
  Entry entry = std::exchange(slots_[slot], Entry());
  bytes_ -= entry.record.size();
  if (entry.saved) removed_.emplace_back(entry.pid, entry.start_ns);
  if (entry.overdue) --overdue_;
  if (entry.pidfd) --watched_;
  return entry;
}

void WaitingExits::recycle(Entry&& entry) {
  if (!entry.storage.empty() && spare_.size() < kMostSpare)
    spare_.push_back(std::move(entry.storage));
}

bool ReportedExits::note(int32_t pid, uint64_t start) {
  auto& cell = cells_[static_cast<uint32_t>(pid) % kCells];  // consecutive pids: no collision
  if (cell == std::pair(pid, start)) return false;
  cell = {pid, start};
  if (saves_) unsaved_.push_back(cell);
  return true;
}

}  // namespace knell::source
