// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "bench/frame/contender.h"

namespace knell::bench {

// One event, the same for every listener of ours.
struct Heard {
  uint32_t type = 0;        // KNELL_EVENT_*
  int32_t pid = 0;          // fork: the child
  int32_t ppid = 0;         // 0: unknown; exec: never known
  int32_t wait_status = 0;  // exit
  uint64_t stamp_ns = 0;    // the kernel's
};

Heard heard_of(const knell_event& event);

// What is done with each event, in the listener's process. What was lost is counted by the board.
using Handler = std::function<void(Board&, const Heard&)>;

// A child's exit, not the marker's; the marker is told to the board.
bool is_exit_of_load(Board& board, const Heard& heard, int32_t parent);

// Whether this kernel is asked to filter. Remembered: to be called before listeners are forked.
Request best_request();

struct NaiveOptions {
  uint32_t events = 0;
  int buffer_bytes = 64 << 20;  // 0: as the kernel gives it
};

// Contenders that hand every event to `handler`, and leave the log of the board alone. The naive
// one asks the kernel to filter where that works.
std::unique_ptr<Contender> make_hearing(std::string name, const NaiveOptions& options,
                                        Handler handler);
std::unique_ptr<Contender> make_hearing(std::string name, const LibraryOptions& options,
                                        Handler handler);

// The same from within InProcess::Listen: of several that share a board, each counts board.ready
// up.
int hear_naively(Board& board, int stop_fd, const NaiveOptions& options, const Handler& handler);

// Waits until the contender handled the marker, half a minute at most. When it did; nullopt: it
// did not.
std::optional<uint64_t> await_handled(Contender& contender, pid_t marker);

}  // namespace knell::bench
