// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/unique_fd.h"
#include "process/cgroup.h"
#include "process/user_names.h"
#include "source/output.h"
#include "source/ptrace/tracer.h"
#include "source/source.h"

namespace knell::source {

// A tracer as a source of finished events. It reports one process, that of add_pid(), and all that
// it forks from then on, whatever the request says about processes. Not thread-safe.
class PtraceSource final : public Source {
 public:
  // `out` must outlive it. Only `details` of the request matters. Errors: EMFILE.
  static Result<std::unique_ptr<PtraceSource>> create(const SourceRequest& wanted, Output& out);

  // The details do not change once the process was added.
  [[nodiscard]] Result<void> set_request(const SourceRequest& wanted) override;
  uint32_t kernel_mask() const override { return mask_; }
  // Begins to trace `pid`. Errors: EBUSY another process was added before; those of
  // Tracer::create().
  [[nodiscard]] Result<void> add_pid(int32_t pid, uint64_t start) override;
  int fd() const override { return epoll_.get(); }
  [[nodiscard]] Result<Drained> drain(size_t bound) override;
  Capabilities capabilities() const override;
  Counters counters() const override { return {.received = received_, .lost = lost_}; }
  bool has_health_checks() const override { return false; }

 private:
  PtraceSource(UniqueFd epoll, Output& out) : epoll_(std::move(epoll)), out_(out) {}
  void add(const TracedEvent& traced);
  void add_hole(const TracedEvent& traced);
  void add_release(const TracedEvent& traced);
  void report_end();
  void fill(Slot& slot, const TracedEvent& traced);
  void fill_exit(Slot& slot, const TracedEvent& traced) const;
  knell_id id_of(int32_t pid, uint64_t start_ticks) const;

  UniqueFd epoll_;
  Output& out_;
  std::unique_ptr<Tracer> tracer_;
  process::UserNames users_;
  process::Cgroups cgroups_;
  uint32_t mask_ = 0, details_ = 0;
  uint64_t last_ns_ = 0;  // stamp of the last event
  uint64_t received_ = 0, lost_ = 0;
};

}  // namespace knell::source
