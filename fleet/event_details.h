// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>

namespace knell::fleet {

// What a listener with these details (enum knell_details) would have received of the event. For
// events of a journal, which has all details; a host that sends fewer sends no more of the past.
// Members that this version does not know are left out.
knell_event with_details(const knell_event& event, uint32_t details);

}  // namespace knell::fleet
