// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "event/level.h"
#include "event/raw.h"
#include "watch/task_ids.h"

namespace knell::watch {

struct Levels {
  std::array<event::Level, event::kMostLevels> at;
  size_t count = 0;
  bool known = false;
  std::span<const event::Level> of() const { return std::span(at).first(count); }
};

// The levels of an event whose source does not tell them, from the numbers of each that it names.
// Of a lost event: not known.
Levels levels_of(const knell_event& event, TaskIds& identities);

// The event as one sees it in pid namespace `ns`: all pids as numbers there, 0 for who has none.
// nullopt: its subject (for FORK the child) has none, or it is not known what it has; or it is an
// ack, which is between one listener and the kernel. A hole is everybody's.
std::optional<event::Raw> translate(const event::Raw& raw, uint32_t ns, TaskIds& identities);

}  // namespace knell::watch
