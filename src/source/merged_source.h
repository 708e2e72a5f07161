// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "source/source.h"

namespace knell::source {

// Two sources as one; see merged_source.cc. `whole` reports the types it has. A second source (the
// rest) reports all other types. It is opened when one of them is first wanted, and is asked for
// these types only. If it cannot be opened, its types are missing (capabilities() has the types
// that are reported) and each check_health() tries to open it again. Not thread-safe.
class MergedSource : public Source, private Sink {
 public:
  using Open = std::function<Result<std::unique_ptr<Source>>(const SourceRequest&)>;

  // `wanted` is what `whole` was made with. Errors: those of `open_rest`, but only if `whole`
  // reports none of the wanted types.
  static Result<std::unique_ptr<MergedSource>> create(std::unique_ptr<Source> whole, Open open_rest,
                                                      const SourceRequest& wanted);

  [[nodiscard]] Result<void> set_request(const SourceRequest& wanted) override;
  [[nodiscard]] Result<void> add_pid(int32_t pid) override { return whole_->add_pid(pid); }
  void remove_pid(int32_t pid) override { whole_->remove_pid(pid); }
  uint64_t roots_of(int32_t pid) const override { return whole_->roots_of(pid); }
  bool scan_some(ScanBudget& budget) override { return whole_->scan_some(budget); }
  [[nodiscard]] Result<bool> scan_under_roots(ScanBudget& budget) override {
    return whole_->scan_under_roots(budget);
  }
  int fd() const override { return epoll_.get(); }
  [[nodiscard]] Result<Drained> drain(Sink& sink, size_t bound) override;
  [[nodiscard]] Result<void> check_health(Sink& sink) override;
  Capabilities capabilities() const override;
  Counters counters() const override;

 private:
  MergedSource(std::unique_ptr<Source> whole, Open open_rest, UniqueFd epoll)
      : whole_(std::move(whole)), open_rest_(std::move(open_rest)), epoll_(std::move(epoll)) {}
  Result<void> request_from_rest(const SourceRequest& wanted);
  void try_rest_again();
  void report_hole();
  Result<void> poll(const Source& source);
  Result<void> buffer_rest();
  void buffer_rest_before(uint64_t stamp_ns);
  void pass_on_rest_until(uint64_t stamp_ns);

  // The Sink of both sources. Events of the rest are put into buffered_. Events of `whole` are
  // passed on, each after the events in buffered_ that have earlier stamps.
  void on_raw(const event::Raw& raw) override;
  void on_full(const event::Full& full) override;
  void on_births_lost(uint64_t count) override { sink_->on_births_lost(count); }
  void on_cgroup(const event::CgroupChange& change) override { sink_->on_cgroup(change); }
  void on_process_ended(int32_t, uint64_t, bool, int32_t) override {}

  std::unique_ptr<Source> whole_, rest_;
  Open open_rest_;
  SourceRequest missing_;  // what is wanted of the rest while it cannot be opened; mask 0: nothing
  uint32_t unreported_ = 0;  // types whose hole is to be reported: they were missing and come now
  uint64_t missing_since_ns_ = 0;
  UniqueFd epoll_;
  Sink* sink_ = nullptr;  // valid only during drain() and check_health()
  bool buffering_rest_ = false;
  std::vector<event::Raw> buffered_;
  size_t passed_on_ = 0;       // how many of buffered_ were passed on
  size_t buffer_bound_ = 0;    // the bound of buffered_ in this drain
  uint64_t rest_read_ns_ = 0;  // the rest was read at this time
  Drained rest_drained_ = Drained::kEmpty;
  Result<void> broken_;  // the error of the rest, until drain() returns it
  Clock& clock_ = system_clock();
};

}  // namespace knell::source
