// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "feed/feed.h"
#include "lib/handle.h"

namespace knell::lib {

// A listener with sources in this process: one subscription over a feed of its own. See
// live_listener.cc.
class LiveListener final : public knell_listener, private source::Sink {
 public:
  static Result<std::unique_ptr<LiveListener>> create(const knell_options& options);
  ~LiveListener() override;

  Result<void> match(std::span<const filter::Predicate> more) override;
  Result<void> add(pid_t pid, uint64_t start, uint64_t cookie) override;
  Result<void> remove(pid_t pid) override;
  Result<void> set_events(uint32_t mask) override;
  int fd() const override { return feed_->fd(); }
  Result<size_t> read(const knell_event** ret_events, size_t count) override;
  Result<int> snapshot(const Visitor& visitor) override {
    return snapshot_of_proc(filter_, visitor);
  }
  knell_stats stats() const override;
  wire::Origin origin() const override;

 private:
  explicit LiveListener(const knell_options& options);

  // Calls a function of the feed. If memory runs out in it, the source may be in any state: then it
  // is not called any more, and the next read() replaces it.
  template <class F>
  Result<void> with_source(F call);
  Result<void> replace_source();
  // Passes the interest of the changed subscription and predicates to the feed.
  Result<void> apply();
  Result<void> read_exit_before(pid_t pid, uint64_t& start);
  size_t return_events(const knell_event** ret_events, size_t count);

  // Sink
  uint32_t types() const override { return shown_; }
  bool wants(event::Slot& slot, const filter::Ancestry& ancestry) override;
  void on_process_ended(int32_t pid, uint64_t start,
                        std::span<const event::NamespacePids> levels) override;

  uint32_t shown_ = 0;
  std::unique_ptr<feed::Feed> feed_;
  bool unusable_ = false;         // the source; see with_source()
  int32_t reads_exit_of_ = 0;     // in read_exit_before(): the pid
  ListenerFilter::Added exited_;  // the process whose exit was read there
  uint64_t last_ns_ = 0;  // the timestamp of the last event returned, or the time of opening
  size_t next_ = 0;       // the first slot not yet returned
  uint64_t seq_ = 0;
};

}  // namespace knell::lib
