// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "filter/interest.h"
#include "source/source.h"

namespace knell::live {

using filter::Interest;

// One interest for several listeners of one level: an event that any of them wants is received. For
// no listeners: see filter::empty().
Interest join(std::span<const Interest> interests);

// NONZERO_EXIT is a bit of the filter, never the type of an event: the events are of type EXIT.
uint32_t types_of(uint32_t mask);

// What to request from a thread-level source: the events to report, and those that update the
// stored process details.
source::SourceRequest request_for_raw_events(const Interest& interest);

// The same for a source of whole processes with all details: types, users, cgroups, processes and
// subtrees are tested in the kernel, everything else in user space.
source::SourceRequest request_for_full_events(const Interest& interest);

}  // namespace knell::live
