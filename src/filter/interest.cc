// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/interest.h"

#include "filter/rule.h"

namespace knell::filter {

uint32_t kernel_mask(const Interest& interest) {
  uint32_t mask = normalise(interest.mask);
  const uint32_t possible = normalise(interest.possible);
  // Exits with 0 that no predicate would let through need not be sent. (A process that failed had a
  // thread that did, so this holds at process level as well.)
  if ((mask & KNELL_EVENT_EXIT) != 0 && (possible & KNELL_EVENT_EXIT) == 0) {
    mask = (mask & ~KNELL_EVENT_EXIT) | KNELL_EVENT_NONZERO_EXIT;
  }
  // Nothing left means that nothing can ever pass; 0 would mean everything to the kernel.
  if ((mask & (possible | KNELL_EVENT_NONZERO_EXIT)) != 0)
    mask &= possible | KNELL_EVENT_NONZERO_EXIT;

  // To know at exit what a process was called, its birth and its changes must be heard of.
  if (interest.details != KNELL_DETAILS_STATUS) {
    mask |= KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_COMM | KNELL_EVENT_UID |
            KNELL_EVENT_GID | KNELL_EVENT_SID;
  }
  if (interest.forks) mask |= KNELL_EVENT_FORK;
  return mask;
}

}  // namespace knell::filter
