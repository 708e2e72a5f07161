// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/result.h"
#include "source/ptrace/traced_event.h"

namespace knell::source {

// A queue of events in memory that is shared over fork(2), with one writer and one reader. Its size
// is fixed. Neither side ever waits for the other: an event that does not fit is dropped and
// counted, and the count is written as an event of type kLost before the next event for which
// there is room.
//
// Exits come first: the last quarter of the ring takes nothing but exits. An exit that does not fit
// drops its args, exe, cwd and cgroup before it is dropped itself.
//
//   writer:  push() --> [ read ... written ] --> pop()  :reader
class EventRing {
 public:
  // `bytes` is rounded up to a power of two of whole pages.
  static Result<EventRing> create(size_t bytes);
  EventRing(EventRing&& other) noexcept;
  EventRing& operator=(EventRing&&) = delete;
  ~EventRing();

  // ---- the writer
  // Returns true when the reader sleeps and must be woken.
  bool push(const TracedEvent& event);
  void set_live(uint64_t processes) { shared_->live.store(processes, std::memory_order_relaxed); }
  void set_finished() { shared_->finished.store(true, std::memory_order_release); }
  bool release_requested() const { return shared_->release.load(std::memory_order_relaxed); }

  // ---- the reader
  // The next event; its views are valid until the next pop(). nullopt: empty; the reader counts as
  // asleep from then on.
  std::optional<TracedEvent> pop();
  // Once the writer is gone: what it could not report any more.
  std::optional<TracedEvent> pop_unreported_loss();
  uint64_t live() const { return shared_->live.load(std::memory_order_relaxed); }
  bool finished() const { return shared_->finished.load(std::memory_order_acquire); }
  void request_release() { shared_->release.store(true, std::memory_order_relaxed); }
  size_t capacity() const { return bytes_; }

 private:
  struct Loss {
    std::atomic<uint64_t> forks, execs, exits, releases;
  };
  struct Shared {
    alignas(64) std::atomic<uint64_t> written;  // bytes since the beginning
    alignas(64) std::atomic<uint64_t> read;
    std::atomic<bool> reader_sleeps;
    alignas(64) std::atomic<uint64_t> live;
    std::atomic<bool> finished, release;
    Loss lost;  // not reported yet
  };
  static_assert(std::atomic<uint64_t>::is_always_lock_free);

  EventRing(Shared* shared, std::byte* data, size_t bytes)
      : shared_(shared), data_(data), bytes_(bytes) {}
  bool write(const TracedEvent& event, size_t keep_free);
  bool report_loss(size_t following);
  std::optional<TracedEvent> take_loss();
  void count_loss(TracedFacts::Type type);

  Shared* shared_;
  std::byte* data_;  // mapped twice in a row, so that no event is split
  size_t bytes_;
  uint64_t pending_ = 0;  // the reader: bytes of the event handed out last
};

}  // namespace knell::source
