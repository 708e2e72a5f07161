// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/namespace_pids.h"

namespace knell::event {

using Comm = std::array<char, 16>;  // kernel TASK_COMM_LEN, NUL-padded

// One finished event and the data it points to. Valid until the batch is cleared, even if the entry
// of the process in the table is erased before.
struct Slot {
  knell_event event{};
  Comm comm{}, parent_comm{}, new_comm{}, killer_comm{}, killer_parent_comm{}, last_sender_comm{},
      last_sender_parent_comm{};
  std::array<char, 16> tty{};
  // Owners of texts that the event points to; shared with the entries of processes.
  std::shared_ptr<const void> image, cgroup, killer_cgroup, user;
  // The event's pids in the pid namespaces below the initial one; the memory belongs to the batch.
  // Known and empty: the subject (FORK: the child) is in the initial namespace only. Known only if
  // the source was asked for them.
  std::span<const NamespacePids> levels;
  bool levels_known = false;
  uint64_t note = 0;   // free for use by the reader of the batch
  bool ready = false;  // false: unused, or reserved for an exit that is not decided yet

  // Drops references to shared data. Batch::reserve() resets the event.
  void release() {
    image.reset();
    cgroup.reset();
    killer_cgroup.reset();
    user.reset();
    levels = {};
    levels_known = false;
    note = 0;
    ready = false;
  }
};

// The events of one drain, in the order of the stream. A slot can be reserved at the place of an
// EXIT and filled once it is known whether the process has ended. The capacity is fixed and
// allocated at construction. Not thread-safe.
class Batch {
 public:
  explicit Batch(size_t capacity) : slots_(capacity) {}

  size_t room() const { return slots_.size() - used_; }
  bool empty() const { return used_ == 0; }
  // The next slot, with a blank event; the caller has checked room(). Pointers stay valid until
  // clear().
  Slot* reserve() {
    KNELL_CHECK(room() > 0);
    Slot& slot = slots_[used_++];
    slot.event = knell_event{};
    return &slot;
  }
  // Releases the slot that was reserved last.
  void release_last(const Slot* slot) {
    KNELL_CHECK(used_ > 0 && slot == &slots_[used_ - 1]);
    slots_[--used_].release();
  }
  void clear() {
    while (used_ > 0) slots_[--used_].release();
    if (chunks_.size() > 1) chunks_.resize(1);
    text_used_ = 0;
  }
  // Room for `bytes` bytes, at most kMostBytes, until the batch is cleared.
  static constexpr size_t kMostBytes = 512 * 1024;
  char* allocate(size_t bytes);
  // Copies `text` into the batch. Ended::kYes: appends a NUL byte if the text does not end with
  // one.
  enum class Ended { kNo, kYes };
  knell_string copy(std::string_view text, Ended ended = Ended::kNo);
  // Copies `levels` into the batch.
  std::span<const NamespacePids> copy(std::span<const NamespacePids> levels);
  size_t size() const { return used_; }
  Slot& operator[](size_t i) { return slots_[i]; }

 private:
  // One chunk is enough except for batches with long arguments; clear() frees the others.
  static constexpr size_t kChunkBytes = kMostBytes;

  std::vector<Slot> slots_;
  size_t used_ = 0;
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t text_used_ = 0;  // bytes used of the last chunk, by text and levels
};

}  // namespace knell::event
