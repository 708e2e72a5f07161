// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/ending.h"

#include <sys/wait.h>

namespace knell::exporter {

Ending ending_of(const knell_event& exit) {
  const bool killed = (exit.has & KNELL_HAS_KILLER) != 0;
  if (killed && exit.killed_by.cause == KNELL_CAUSE_OOM) return Ending::kOom;
  if ((exit.has & KNELL_HAS_STATUS) == 0) return Ending::kUnknown;
  const int status = exit.wait_status;
  if (WIFSIGNALED(status)) return WCOREDUMP(status) ? Ending::kCore : Ending::kSignal;
  return WEXITSTATUS(status) == 0 ? Ending::kOk : Ending::kNonzero;
}

}  // namespace knell::exporter
