// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal_frame.h"

#include "event/visibility.h"
#include "journal/cursor.h"

namespace knell::daemon {
namespace {

constexpr size_t kFrameBytes = 24 * 1024;  // chosen, not measured

}  // namespace

bool JournalFrame::add(knell_event& event) {
  if (out_.size() > kFrameBytes) return false;
  if (!scope_.every_user && event.type != KNELL_EVENT_LOST)
    event::hide(event, event::hidden_from_user(event, scope_.uid));
  const std::string cursor =
      journal::text_of({.journal = journal_, .seq = static_cast<int64_t>(event.seq)});
  event.cursor = {cursor.data(), cursor.size()};
  return server::add_encoded(frame_, encoder_.event(event, details_));
}

}  // namespace knell::daemon
