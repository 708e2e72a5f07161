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

#include "event/level.h"
#include "watch/process_table.h"

namespace knell::watch {

// An event and all it points to. Lives until the batch is cleared, whatever becomes of the
// process's table entry.
struct Slot {
  knell_event event{};
  Comm comm{}, parent_comm{}, new_comm{}, killer_comm{}, killer_parent_comm{}, asker_comm{},
      asker_parent_comm{};
  std::array<char, 16> tty{};
  std::shared_ptr<const Image> image;
  std::shared_ptr<const Cgroup> cgroup, killer_cgroup;
  std::shared_ptr<const std::string> user;
  // The numbers of the event's pids in the namespaces below the initial one, as event::Full has
  // them; in the batch. Not known for what comes of a source that does not see them.
  std::span<const event::Level> levels;
  bool levels_known = false;
  uint64_t note = 0;   // the event_filter's own
  bool ready = false;  // false: reserved for an exit not yet judged, or given up

  // Lets go of what is not its own. The rest is blank again when it is reserved.
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

// The events of one drain, in the order of the stream. A slot can be reserved at the place where an
// exit was seen and filled when it is known whether the process is over. Room for a fixed number,
// taken once.
class Batch {
 public:
  explicit Batch(size_t capacity) : slots_(capacity) {}

  size_t room() const { return slots_.size() - used_; }
  bool empty() const { return used_ == 0; }
  // The next slot, its event blank; the caller has checked room(). Pointers stay good until
  // clear().
  Slot* reserve() {
    KNELL_CHECK(room() > 0);
    Slot& slot = slots_[used_++];
    slot.event = knell_event{};
    return &slot;
  }
  // Takes back the slot just reserved.
  void give_back(const Slot* slot) {
    KNELL_CHECK(used_ > 0 && slot == &slots_[used_ - 1]);
    slots_[--used_].release();
  }
  void clear() {
    while (used_ > 0) slots_[--used_].release();
    if (chunks_.size() > 1) chunks_.resize(1);
    text_used_ = 0;
  }
  // A copy of text for an event of this batch; `ended`: with a NUL behind it if there is none yet.
  enum class Ended { kNo, kYes };
  knell_string keep(std::string_view text, Ended ended = Ended::kNo);
  // The same of levels.
  std::span<const event::Level> keep(std::span<const event::Level> levels);
  size_t size() const { return used_; }
  Slot& operator[](size_t i) { return slots_[i]; }

 private:
  char* take(size_t bytes);

  // One is enough but for batches of long arguments; more are given back by clear().
  static constexpr size_t kChunkBytes = 512 * 1024;

  std::vector<Slot> slots_;
  size_t used_ = 0;
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t text_used_ = 0;  // of the last chunk; text and levels
};

}  // namespace knell::watch
