// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "filter/interest.h"
#include "source/source.h"

namespace knell::source {

using filter::Interest;

// One interest for several listeners of one level: an event that any of them wants is received. For
// no listeners: see filter::empty().
Interest join(std::span<const Interest> interests);

// What to request from a source to serve the interest: types, users, cgroups, processes and
// subtrees are tested by the source if it can, everything else by its reader.
SourceRequest request_for(const Interest& interest);

}  // namespace knell::source
