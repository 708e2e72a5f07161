// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "filter/predicates.h"

namespace knell::filter {

// What one listener asked for.
struct Want {
  uint32_t mask = 0;     // as asked; 0 means all
  uint32_t level = 0;    // enum knell_level
  uint32_t details = 0;  // enum knell_details
  Needs needs;           // of its predicates
  bool operator==(const Want&) const = default;
};

// The details it takes to serve it: as asked, or more where a predicate needs more. enum
// knell_details.
uint32_t details_needed(const Want& want);

// The mask the kernel has to be asked for, so that this listener can be served; never 0.
uint32_t kernel_mask(const Want& want);

// The same for several at once: the union. 0 when there is nobody.
uint32_t kernel_mask(std::span<const Want> wants);

}  // namespace knell::filter
