// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/process_table.h"

namespace knell::process {

Process* ProcessTable::find(int32_t pid) {
  const uint32_t* slot = index_.find(pid);
  return slot == nullptr ? nullptr : &processes_[*slot];
}

Process* ProcessTable::insert(int32_t pid) {
  if (Process* old = find(pid)) {
    *old = Process();
    old->pid = pid;
    return old;
  }
  if (index_.size() >= limits_.processes) {
    ++forgotten_;
    return nullptr;
  }
  uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(processes_.size());
    processes_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  *index_.emplace(pid).first = slot;
  processes_[slot].pid = pid;
  return &processes_[slot];
}

void ProcessTable::erase(int32_t pid) {
  const uint32_t* found = index_.find(pid);
  if (found == nullptr) return;
  const uint32_t slot = *found;
  index_.erase(pid);
  release(slot);
}

void ProcessTable::release(uint32_t slot) {
  processes_[slot] = Process();
  free_.push_back(slot);
}

std::shared_ptr<const Image> ProcessTable::keep(Image image) {
  const size_t bytes = image.bytes();
  if (*text_bytes_ + bytes > limits_.text_bytes) {
    ++forgotten_;
    return nullptr;
  }
  *text_bytes_ += bytes;
  return std::shared_ptr<const Image>(new Image(std::move(image)),
                                      [total = text_bytes_, bytes](const Image* gone) {
                                        *total -= bytes;
                                        delete gone;
                                      });
}

}  // namespace knell::process
