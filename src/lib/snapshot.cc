// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell_snapshot() without the daemon: the living processes in /proc that match the predicates of a
// listener.
#include "lib/snapshot.h"

#include "base/boot_id.h"
#include "base/clock.h"
#include "event/batch.h"
#include "event/fields.h"
#include "event/visibility.h"
#include "process/living_processes.h"
#include "process/proc_reader.h"

namespace knell::lib {

Result<int> snapshot_of_proc(const ListenerFilter& filter, const Visitor& visitor,
                             std::optional<uint32_t> uid) {
  KNELL_ASSIGN(const process::ProcReader proc, process::ProcReader::open());
  const filter::Interest needs = filter.interest();
  process::LivingProcesses living(proc, system_clock(),
                                  {.details = needs.details,
                                   .boot = boot_number(),
                                   .roots = needs.roots,
                                   .only_under = needs.only_under,
                                   .pids = needs.pids});
  ScanBudget all;
  KNELL_TRY(living.list_some(all));
  event::Batch batch(1);
  while (living.next(all, batch) == process::LivingProcesses::Next::kProcess) {
    knell_event& event = batch[0].event;
    if (uid && ((event.has & KNELL_HAS_UID) == 0 || event.uid != *uid)) continue;
    if (!filter.predicates.matches(event, filter::RootBits(needs.roots, batch[0].note))) continue;
    event::limit_details(event, filter.subscription.details);
    event::note_presence<event::kFields>(event);
    if (const int result = visitor(event); result != 0) return result;
  }
  return 0;
}

}  // namespace knell::lib
