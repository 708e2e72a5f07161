// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A snapshot is limited like the events that its client receives: src/server/peer.cc has the rules.
// While the processes are listed, those of other users and of other pid namespaces are left out as
// far as one read of /proc tells, so that a client is charged for its own processes only. After the
// details of a process have been read, its real uid and its pids in pid namespaces are checked
// again, since they decide who may see it. A process whose uid or pids cannot be read is not shown.
#include "daemon/live_snapshot.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/boot_id.h"
#include "event/visibility.h"
#include "process/levels.h"

namespace knell::daemon {
namespace {

constexpr size_t kPiece = 8;  // chosen, not measured: about a tenth of a millisecond

}  // namespace

Result<std::unique_ptr<LiveSnapshot>> LiveSnapshot::create(const hub::Listener& listener,
                                                           filter::Redactor& redactor,
                                                           const Clock& clock) {
  KNELL_ASSIGN(process::ProcReader proc, process::ProcReader::open());
  return std::unique_ptr<LiveSnapshot>(
      new LiveSnapshot(listener, std::move(proc), redactor, clock));
}

LiveSnapshot::LiveSnapshot(const hub::Listener& listener, process::ProcReader proc,
                           filter::Redactor& redactor, const Clock& clock)
    : scope_(listener.node()->filter.scope),
      details_(listener.node()->filter.subscription.details),
      predicates_(listener.node()->filter.predicates),
      roots_(listener.node()->filter.interest.roots),
      proc_(std::move(proc)),
      redactor_(redactor) {
  const filter::Interest needs = predicates_.needs();
  process::LivingProcesses::Options options{.details = std::min(details_, needs.details),
                                            .boot = boot_number(),
                                            .roots = roots_,
                                            .only_under = needs.only_under,
                                            .look_up_names = false};
  // In another pid namespace the wanted pids are those of that namespace
  if (scope_.ns == 0) options.pids = needs.pids;
  if (!scope_.every_user || scope_.ns != 0)
    options.may_list = [this](const process::ProcFolder& folder) { return may_list(folder); };
  if (scope_.ns != 0) {
    time_.take(clock);
    // A table that stores nothing: each answer is read from /proc.
    owners_.emplace(proc_, clock, time_, boot_number(), process::TableLimits{.tasks = 0});
    (void)owners_->keep({.owners = true, .namespaces = true});
  }
  living_.emplace(proc_, clock, std::move(options));
}

bool LiveSnapshot::may_list(const process::ProcFolder& folder) const {
  const auto status = folder.task_status();
  if (!status || (!scope_.every_user && status->uid != scope_.uid)) return false;
  return scope_.ns == 0 || status->count > 1;
}

Result<server::Snapshot::Step> LiveSnapshot::step() {
  process_ = {};
  ScanBudget piece{.left = kPiece};
  if (!listed_) {
    KNELL_ASSIGN(listed_, living_->list_some(piece));
    return Step::kMore;
  }
  switch (living_->next(piece, batch_)) {
    case process::LivingProcesses::Next::kMore:
      return Step::kMore;
    case process::LivingProcesses::Next::kEnd:
      return Step::kEnd;
    case process::LivingProcesses::Next::kProcess:
      break;
  }
  event::Slot& slot = batch_[0];
  if (!wants(slot)) return Step::kMore;
  if (slot.event.args.data != nullptr) {
    const auto redacted = redactor_.redact({slot.event.args.data, slot.event.args.size});
    if (redacted) slot.event.args = batch_.copy(*redacted);
  }
  process_ = encoder_.event(slot.event, details_);
  return Step::kProcess;
}

bool LiveSnapshot::wants(event::Slot& slot) {
  return limit_to_scope(slot.event) &&
         predicates_.matches(slot.event, filter::RootBits(roots_, slot.note));
}

// Removes the fields that the client may not see; false: it may not see the process at all.
bool LiveSnapshot::limit_to_scope(knell_event& event) {
  if (!scope_.every_user) {
    if ((event.has & KNELL_HAS_UID) == 0 || event.uid != scope_.uid) return false;
    event::hide(event, event::hidden_from_user(event, scope_.uid));
  }
  if (scope_.ns == 0) return true;
  const process::Levels levels = process::levels_of(event, *owners_);
  const auto own = std::ranges::find(levels.of(), scope_.ns, &event::NamespacePids::ns);
  if (!levels.known || own == levels.of().end()) return false;
  event::translate_in_place(event, *own);
  return true;
}

}  // namespace knell::daemon
