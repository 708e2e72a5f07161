// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string_view>

namespace knell::fleet {

// Returns the event as a listener with these details (enum knell_details) would have received it.
// Used for events of a journal, which have all details: a host that sends fewer details must not
// send more of past events. Members that this version does not know are left out.
knell_event with_details(const knell_event& event, uint32_t details);

// The least details with which an event shows whether it matches this predicate of knell_match().
uint32_t details_of(std::string_view key, std::string_view value);
// Whether events with `details` have all that events with `needed` have.
bool has_details(uint32_t details, uint32_t needed);
// As in --details: "status", "names" or "full".
std::string_view details_name(uint32_t details);

}  // namespace knell::fleet
