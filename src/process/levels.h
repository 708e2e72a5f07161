// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "event/namespace_pids.h"
#include "event/raw.h"
#include "process/process_table.h"

namespace knell::process {

struct Levels {
  std::array<event::NamespacePids, event::kMostLevels> at;
  size_t count = 0;
  bool known = false;
  std::span<const event::NamespacePids> of() const { return std::span(at).first(count); }
};

// The levels of an event whose source does not report levels, made from the pids of each process
// that the event names. Unknown for a lost event.
Levels levels_of(const knell_event& event, ProcessTable& table);

// The levels of a thread-level event, for event::translate(). The subject is the thread `tid`. A
// hole has none.
Levels levels_of(const event::Raw& raw, ProcessTable& table);

}  // namespace knell::process
