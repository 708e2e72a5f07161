// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "event/batch.h"
#include "filter/predicates.h"
#include "filter/redact.h"
#include "hub/listener.h"
#include "process/living_processes.h"
#include "process/proc_reader.h"
#include "process/process_table.h"
#include "process/timebase.h"
#include "server/daemon_interface.h"
#include "server/wire_event_encoder.h"

namespace knell::daemon {

// The living processes for one client of the daemon. See live_snapshot.cc.
class LiveSnapshot final : public server::Snapshot {
 public:
  // `listener` has a subscription. `redactor` must outlive it. Errors: /proc cannot be read.
  static Result<std::unique_ptr<LiveSnapshot>> create(const hub::Listener& listener,
                                                      filter::Redactor& redactor,
                                                      const Clock& clock);

  Result<Step> step() override;
  std::string_view process() const override { return process_; }
  size_t bytes() const override { return sizeof *this + living_->bytes(); }

 private:
  LiveSnapshot(const hub::Listener& listener, process::ProcReader proc, filter::Redactor& redactor,
               const Clock& clock);
  bool may_list(const process::ProcFolder& folder) const;
  bool limit_to_scope(knell_event& event);
  bool wants(event::Slot& slot);

  // The listener's scope and details at the time when the snapshot began.
  const hub::Scope scope_;
  const uint32_t details_;
  const filter::Predicates predicates_;
  const std::vector<filter::Root> roots_;

  const process::ProcReader proc_;
  filter::Redactor& redactor_;
  process::Timebase time_;
  std::optional<process::ProcessTable> owners_;  // set for a listener in another pid namespace
  std::optional<process::LivingProcesses> living_;
  event::Batch batch_{1};
  server::WireEventEncoder encoder_;
  std::string_view process_;
  bool listed_ = false;  // the first pass is finished
};

}  // namespace knell::daemon
