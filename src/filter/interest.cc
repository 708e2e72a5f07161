// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/interest.h"

#include "filter/rule.h"

namespace knell::filter {

uint32_t shown_mask(const Interest& interest) {
  uint32_t mask = normalise(interest.mask);
  const uint32_t possible = normalise(interest.possible);
  // Exits with status 0 that no predicate passes need not be sent. (If a process failed, one of its
  // threads failed, so this is right at process level as well.)
  if ((mask & KNELL_EVENT_EXIT) != 0 && (possible & KNELL_EVENT_EXIT) == 0) {
    mask = (mask & ~KNELL_EVENT_EXIT) | KNELL_EVENT_NONZERO_EXIT;
  }
  // If no type is left, no event can pass; keep the mask, since 0 means all types to the kernel.
  if ((mask & (possible | KNELL_EVENT_NONZERO_EXIT)) != 0)
    mask &= possible | KNELL_EVENT_NONZERO_EXIT;
  return mask;
}

}  // namespace knell::filter
