// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "filter/redact.h"
#include "process/kernel_processes.h"

namespace knell::daemon {

// The processes that are alive when knelld is stopped. The next knelld determines which of them
// ended while no knelld was running. See stopped_processes.cc. Not thread-safe.
class LivingProcessList {
 public:
  // Reads /proc. `details`: enum knell_details. Errors: /proc cannot be read.
  static Result<LivingProcessList> read(uint32_t details, filter::Redactor& redactor,
                                        const Clock& clock);
  // Removes a process whose exit was read.
  void remove(int32_t pid, uint64_t start) { exits_.erase({pid, start}); }
  size_t size() const { return exits_.size(); }
  // Errors: the file cannot be written.
  Result<void> write(const std::string& path, const Clock& clock) const;

 private:
  using Key = std::pair<int32_t, uint64_t>;  // pid, start
  std::map<Key, std::string> exits_;         // see journal::read_copy()
};

// The processes of such a file that have ended since it was written.
struct EndedMeanwhile {
  uint64_t stopped_ns = 0;  // CLOCK_MONOTONIC; 0: there is no file of this boot
  // Their exits, with the flag `recovered`; the status is known for processes that are not reaped.
  // See journal::read_copy().
  std::vector<std::string> exits;
};

// Also removes the file, so that each exit is reported once. Errors: the file is damaged, or cannot
// be read.
Result<EndedMeanwhile> take_ended_meanwhile(const std::string& path,
                                            process::KernelProcesses& kernel, const Clock& clock);

}  // namespace knell::daemon
