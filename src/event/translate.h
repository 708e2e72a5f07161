// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include "event/level.h"

namespace knell::event {

// The event as it is known in a pid namespace: its pids are those of `level`, and what is told of
// processes that are not in it is unknown. For ones whose subject (fork: the child) is in it.
knell_event translate(const knell_event& event, const Level& level);

// Makes the process in killed_by unknown; the cause, and what is of the event's own process, stay.
void hide_killer(knell_event& event);

}  // namespace knell::event
