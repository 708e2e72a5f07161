// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "event/full.h"
#include "watch/batch.h"
#include "watch/cgroup_tree.h"
#include "watch/timebase.h"
#include "watch/user_names.h"

namespace knell::watch {

// Copies the fields of an event::Full into a knell_event. Keeps no state of the process: all is in
// the record. Not thread-safe.
class EventFiller {
 public:
  EventFiller(uint32_t boot, const Timebase& time) : boot_(boot), time_(time) {}
  // Copies text into `batch`.
  void fill(Batch& batch, Slot& slot, const event::Full& full);
  CgroupTree& cgroups() { return cgroups_; }
  UserNames& users() { return users_; }

 private:
  void fill_details(Batch& batch, Slot& slot, const event::Full& full);
  void fill_exit(Batch& batch, Slot& slot, const event::Full& full);
  void fill_killer(Batch& batch, Slot& slot, const event::Full& full);
  static void fill_last_signal(Slot& slot, const event::Full& full);
  knell_id id_of(int32_t pid, uint64_t start_boot_ns) const;

  uint32_t boot_;
  const Timebase& time_;
  CgroupTree cgroups_;
  UserNames users_;
};

}  // namespace knell::watch
