// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "event/namespace_pids.h"
#include "event/raw.h"
#include "watch/task_ids.h"

namespace knell::watch {

struct Levels {
  std::array<event::NamespacePids, event::kMostLevels> at;
  size_t count = 0;
  bool known = false;
  std::span<const event::NamespacePids> of() const { return std::span(at).first(count); }
};

// The levels of an event whose source does not report them, made from the numbers of each process
// that it names. Unknown for a lost event.
Levels levels_of(const knell_event& event, TaskIds& identities);

// The event as seen in pid namespace `ns`: all pids are numbers there, 0 for a process that has
// none. nullopt: the subject (for FORK the child) has no number there or it is unknown, or the
// event is an ack, which concerns one listener and the kernel only. A LOST event is returned
// unchanged.
std::optional<event::Raw> translate(const event::Raw& raw, uint32_t ns, TaskIds& identities);

}  // namespace knell::watch
