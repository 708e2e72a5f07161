// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "event/full.h"
#include "watch/batch.h"
#include "watch/full_teller.h"
#include "watch/timebase.h"

namespace knell::bench {

inline constexpr size_t kSamples = 256;  // in one go: about what a drain under load brings

// What a source says of the exit of the i-th of some processes of a common sort: one in ten fails,
// one in fifty is killed by somebody; they differ in pid, name, user and cgroup.
event::Full exit_of_process(size_t i, uint32_t details);

// The i-th's cgroup has this inode and path.
uint64_t cgroup_inode(size_t i);
const char* cgroup_path(size_t i);

// kSamples events as a listener gets them. Owns all they point to.
class Samples {
 public:
  explicit Samples(uint32_t details);
  Samples(const Samples&) = delete;
  Samples& operator=(const Samples&) = delete;
  std::vector<knell_event>& events() { return events_; }

 private:
  watch::Timebase time_;
  watch::FullTeller teller_;
  watch::Batch batch_;
  std::vector<knell_event> events_;
};

}  // namespace knell::bench
