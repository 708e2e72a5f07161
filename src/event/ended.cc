// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/ended.h"

#include <sys/wait.h>

#include <array>
#include <charconv>

#include "base/signal_names.h"

namespace knell::event {

void append_ended(std::string& out, const knell_event& event) {
  if (event.type != KNELL_EVENT_EXIT) return;
  const int status = event.wait_status;
  const bool ended = WIFEXITED(status) || WIFSIGNALED(status);
  if ((event.has & KNELL_HAS_STATUS) == 0 || !ended) {
    out += "unknown";
    return;
  }
  if (WIFEXITED(status)) {
    std::array<char, 4> digits;
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), WEXITSTATUS(status)).ptr;
    out += "exit ";
    out.append(digits.data(), end);
    return;
  }
  out += signal_name(WTERMSIG(status));
  if (WCOREDUMP(status)) out += " core";
  const bool oom = (event.has & KNELL_HAS_KILLER) != 0 && event.killed_by.cause == KNELL_CAUSE_OOM;
  if (oom) out += " oom";
}

std::string ended_text(const knell_event& event) {
  std::string out;
  append_ended(out, event);
  return out;
}

}  // namespace knell::event
