// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>

#include "base/unique_fd.h"
#include "process/births.h"
#include "process/proc_reader.h"
#include "source/connector/assembler.h"
#include "source/connector/connector.h"
#include "source/connector/live_process_probe.h"
#include "source/output.h"
#include "source/source.h"

namespace knell::source {

struct ConnectorSourceOptions {
  size_t buffer_bytes = 0;            // 0: kDefaultBufferBytes
  process::Births* births = nullptr;  // see AssemblerOptions
  Kept* kept = nullptr;               // see SourceOptions
};

// The thread-level events that are needed to make the wanted events.
ThreadRequest thread_request(const SourceRequest& wanted);

// The connector as a source of finished events; see connector_source.cc. Not thread-safe.
class ConnectorSource final : public Source, private ThreadEvents {
 public:
  // `out` must outlive it. Errors: those of Connector::create().
  static Result<std::unique_ptr<ConnectorSource>> create(const ConnectorSourceOptions& options,
                                                         const SourceRequest& wanted, Output& out);

  [[nodiscard]] Result<void> set_request(const SourceRequest& wanted) override;
  uint32_t kernel_mask() const override { return asked_.mask; }
  [[nodiscard]] Result<void> add_pid(int32_t pid, uint64_t start) override;
  bool scan_some(ScanBudget& budget) override { return assembler_->scan_some(budget); }
  [[nodiscard]] Result<bool> scan_under_roots(ScanBudget& budget) override {
    return assembler_->scan_under_roots(budget);
  }
  int fd() const override { return epoll_.get(); }
  uint64_t due_ns() const override;
  bool is_urgent() const override { return assembler_->is_urgent(); }
  [[nodiscard]] Result<Drained> drain(size_t bound) override;
  [[nodiscard]] Result<void> check_health() override;
  process::Tracked recoverable(const SourceRequest& wanted) const override;
  void report_missed(const Missed& missed) override { assembler_->report_missed(missed); }
  process::ProcessTable* table() override { return &assembler_->table(); }
  Capabilities capabilities() const override { return connector_->capabilities(); }
  Counters counters() const override;
  void save(bool) override { connector_->save(); }
  bool saved() override {
    connector_->saved();
    return false;
  }

 private:
  ConnectorSource(Output& out, process::ProcReader proc, UniqueFd epoll);
  Result<void> start(const ConnectorSourceOptions& options, const SourceRequest& wanted);
  void on_raw(const event::Raw& raw) override { assembler_->on_raw(raw); }
  void take_wakeups();
  Result<Drained> read(size_t bound);
  Result<bool> settle();

  Output& out_;
  process::ProcReader proc_;
  UniqueFd epoll_;  // the socket, and a pidfd for each process of which some thread has exited
  LiveProcessProbe probe_;
  std::unique_ptr<Connector> connector_;
  std::optional<Assembler> assembler_;
  ThreadRequest asked_;
  bool follows_dead_ = false;  // add_pid() found a process that is dead already
  size_t sweep_;               // number of old entries that the next drain checks
};

}  // namespace knell::source
