// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/pid_map.h"
#include "base/pid_scan.h"
#include "process/kernel_processes.h"
#include "process/live_set.h"
#include "source/output.h"
#include "source/source.h"

namespace knell::feed {

// Makes the events that were lost in holes, as far as the processes alive before and after show
// them, with the flag KNELL_FLAG_RECOVERED. Stands between the source and its reader: it learns
// from the events which processes are alive (process::LiveSet), and lets the source report what the
// comparison finds. See recovery.cc. Not thread-safe.
class Recovery final : public source::Sink, private process::LiveSet::Report {
 public:
  // The references must outlive it.
  Recovery(source::Sink& reader, process::KernelProcesses& kernel, const Clock& clock);

  // Called when a source was opened, while the source that it replaces still exists. `out`: the
  // source's.
  void set_source(source::Source& source, source::Output& out) {
    source_ = &source;
    out_ = &out;
    live_.use(source.table());
  }
  // As in process::LiveSet.
  void track(process::Tracked tracked, bool execs);
  bool scan_some(ScanBudget& budget) { return live_.scan_some(budget); }
  void follow(int32_t pid, uint64_t start) { live_.follow(pid, start); }
  void unfollow(int32_t pid) { live_.unfollow(pid); }
  void advance(ScanBudget& budget, uint64_t read_until_ns) {
    live_.advance(budget, read_until_ns, *this);
  }
  uint64_t due_ns() const { return live_.due_ns(); }

  uint64_t recovered() const { return recovered_; }
  const process::LiveSet& live() const { return live_; }

 private:
  // Sink
  uint32_t types() const override { return reader_.types(); }
  bool wants_user_names() const override { return reader_.wants_user_names(); }
  bool wants(source::Slot& slot, const filter::Ancestry& ancestry) override;
  void on_process_ended(int32_t pid, uint64_t start,
                        std::span<const event::NamespacePids> levels) override;
  void on_process_begun(int32_t pid, uint64_t start, bool exact) override;
  void on_thread_event(const event::Raw& raw, const source::Owner& owner) override {
    reader_.on_thread_event(raw, owner);
  }
  void on_birth(const process::Birth& birth) override { reader_.on_birth(birth); }
  void on_births_lost(uint64_t count) override { reader_.on_births_lost(count); }

  // LiveSet::Report
  bool has_room() override { return out_->batch().room() > source::Output::kSpareSlots; }
  void on_difference(const process::LiveSet::Difference& difference) override;

  bool was_recovered(int32_t pid, uint64_t start, uint64_t stamp_ns) const;

  struct Reported {
    uint64_t start = 0, until_ns = 0;
  };

  source::Sink& reader_;
  const Clock& clock_;
  process::LiveSet live_;
  source::Source* source_ = nullptr;
  source::Output* out_ = nullptr;
  // The processes whose exit was recovered a moment ago: if it comes after all, it is dropped.
  PidMap<Reported> reported_;
  bool reporting_ = false;  // the source is reporting what was found
  uint64_t recovered_ = 0;
};

}  // namespace knell::feed
