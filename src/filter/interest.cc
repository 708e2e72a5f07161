// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/interest.h"

#include "filter/rule.h"

namespace knell::filter {

uint32_t kernel_mask(const Interest& interest) {
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

  // The names of a process at its exit are known only from its fork and its later changes.
  if (interest.details != KNELL_DETAILS_STATUS) {
    mask |= KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_COMM | KNELL_EVENT_UID |
            KNELL_EVENT_GID | KNELL_EVENT_SID;
  }
  if (interest.forks) mask |= KNELL_EVENT_FORK;
  return mask;
}

}  // namespace knell::filter
