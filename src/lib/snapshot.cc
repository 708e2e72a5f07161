// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell_snapshot(): the living processes in /proc that match the predicates of a listener.
#include "lib/snapshot.h"

#include <algorithm>
#include <vector>

#include "base/boot_id.h"
#include "base/clock.h"
#include "base/proc_stat.h"
#include "event/fields.h"
#include "event/batch.h"
#include "process/proc_reader.h"
#include "process/table.h"

namespace knell::lib {
namespace {

struct Living {
  int32_t pid, ppid;
  uint64_t start;
};

// Sorts parents before their children. A parent started before its child or in the same clock tick;
// within a tick the ppid decides.
std::vector<Living> parents_first(std::vector<Living> all) {
  std::ranges::sort(all, {}, [](const Living& one) { return std::pair(one.start, one.pid); });
  for (size_t first = 0, last = 0; first < all.size(); first = last) {
    while (last < all.size() && all[last].start == all[first].start) ++last;
    for (size_t done = first; done < last;) {
      const auto is_parent = [&](const Living& one) { return one.pid == all[done].ppid; };
      const auto from = all.begin() + static_cast<ptrdiff_t>(done);
      const auto parent =
          std::find_if(from + 1, all.begin() + static_cast<ptrdiff_t>(last), is_parent);
      if (parent == all.begin() + static_cast<ptrdiff_t>(last))
        ++done;
      else
        std::iter_swap(from, parent);
    }
  }
  return all;
}

bool is_alive(const Living& process) {
  const auto stat = read_proc_stat(process.pid);
  if (!stat || stat->start != process.start) return false;
  return stat->state != 'X' && (stat->state != 'Z' || stat->threads > 1);
}

}  // namespace

Result<int> snapshot(const filter::Predicates& predicates,
                     int (*visit)(const knell_event* event, void* context), void* context) {
  KNELL_ASSIGN(const process::ProcReader proc, process::ProcReader::open());
  const Clock& clock = system_clock();
  process::Timebase time;
  time.take(clock);
  const uint64_t now = clock.monotonic_ns();
  process::Table table(proc, clock, time, boot_number());
  ScanBudget no_bound;
  if (table.keep({.details = KNELL_DETAILS_FULL})) table.begin_scan();
  (void)table.scan_some(no_bound);
  (void)table.follow(predicates.needs().roots);
  (void)table.scan_under_roots(no_bound);

  std::vector<Living> all;
  table.for_each(
      [&](const process::Task& task) { all.push_back({task.pid, task.ppid, task.start}); });
  event::Batch batch(1);
  for (const Living& process : parents_first(std::move(all))) {
    if (!is_alive(process)) continue;
    batch.clear();
    event::Slot& slot = *batch.reserve();
    knell_event& event = slot.event;
    event.size = sizeof event;
    event.type = KNELL_EVENT_NONE;
    event.via = KNELL_VIA_PROC;
    event.mono_ns = now;
    event.time_ns = time.realtime_ns(now);
    event.pid = event.tid = process.pid;
    table.describe(slot, process.pid, process::Table::ReadProc::kNo);
    if (!predicates.matches(event, table)) continue;
    event::note_presence<event::kFields>(event);
    if (const int result = visit(&event, context); result != 0) return result;
  }
  return 0;
}

}  // namespace knell::lib
