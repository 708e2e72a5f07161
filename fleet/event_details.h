// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>

namespace knell::fleet {

// Returns the event as a listener with these details (enum knell_details) would have received it.
// Used for events of a journal, which have all details: a host that sends fewer details must not
// send more of past events. Members that this version does not know are left out.
knell_event with_details(const knell_event& event, uint32_t details);

}  // namespace knell::fleet
