// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace knell::test {

// The facts about one death, as known by the processes that caused it. Plain data: it is sent
// through a pipe.
struct Truth {
  pid_t pid = 0;          // the victim
  int status = 0;         // what wait reports
  uint32_t cause = 0;     // enum knell_cause; 0: killed_by is null, because no signal killed it, or
                          // because what the kernel reports can be forged
  pid_t killer = 0;       // killed_by.pid
  int request = 0;        // last_signal.signal; 0: last_signal is null
  pid_t asker = 0;        // last_signal.pid
  char lacking[64] = "";  // the reason why this way to die cannot be tested here
};

struct WayToDie {
  const char* name;
  // Runs in a process of its own, which is a subreaper and writes no core files. Returns when the
  // victim was reaped.
  Truth (*go)();
  bool slow = false;  // takes a second
};

const std::vector<WayToDie>& ways_to_die();

}  // namespace knell::test
