// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "filter/interest.h"
#include "source/source.h"

namespace knell::live {

using filter::Interest;

// One interest for many listeners of one level: what any of them wants, comes. Of none: see
// filter::empty().
Interest join(std::span<const Interest> interests);

// NONZERO_EXIT is a bit of the filter, never an event: what it lets through are exits.
uint32_t types_of(uint32_t mask);

// What a source that tells thread-level events has to be asked for: beside what is shown, all that
// has to be remembered to show it.
source::Wanted wanted_of_threads(const Interest& interest);

// The same of a source that tells of whole processes, with all their details: types, users,
// processes and subtrees are tested in the kernel, everything else above it.
source::Wanted wanted_of_whole(const Interest& interest);

}  // namespace knell::live
