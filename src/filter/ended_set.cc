// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/ended_set.h"

#include <sys/wait.h>

#include <csignal>

namespace knell::filter {

void EndedSet::add(const Ended& ended) {
  empty_ = false;
  switch (ended.kind) {
    case Ended::Kind::kCodes:
      for (size_t code = ended.first; code <= ended.last; ++code) codes_.set(code);
      break;
    case Ended::Kind::kSignal:
      signals_.set(ended.first);
      break;
    case Ended::Kind::kAnySignal:
      signals_.set();
      break;
    case Ended::Kind::kCore:
      core_ = true;
      break;
    case Ended::Kind::kOom:
      oom_ = true;
      break;
    case Ended::Kind::kUnknown:
      unknown_ = true;
      break;
  }
}

bool EndedSet::matches(const knell_event& event) const {
  if ((event.has & KNELL_HAS_STATUS) == 0) return unknown_;
  const int status = event.wait_status;
  if (WIFEXITED(status)) return codes_[static_cast<size_t>(WEXITSTATUS(status))];
  if (!WIFSIGNALED(status)) return unknown_;
  const bool oom = (event.has & KNELL_HAS_KILLER) != 0 && event.killed_by.cause == KNELL_CAUSE_OOM;
  return signals_[static_cast<size_t>(WTERMSIG(status))] || (core_ && WCOREDUMP(status)) ||
         (oom_ && oom);
}

bool EndedSet::may_match(const knell_event& event) const {
  return oom_ && (event.flags & KNELL_FLAG_DETAILS_LOST) != 0 &&
         (event.has & KNELL_HAS_STATUS) != 0 && (event.has & KNELL_HAS_KILLER) == 0 &&
         WIFSIGNALED(event.wait_status) && WTERMSIG(event.wait_status) == SIGKILL;
}

}  // namespace knell::filter
