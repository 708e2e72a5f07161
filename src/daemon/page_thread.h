// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "daemon/worker_thread.h"
#include "server/request_scheduler.h"

namespace knell::daemon {

// The limits of one page of the journal, so that the next user does not wait long: CPU time, and
// the blocks and events of one call of journal::Reader::read(), after which the time is checked.
// Chosen, not measured. Reading eight blocks decodes a few thousand records at most.
inline constexpr uint64_t kPageNs = 5'000'000;
inline constexpr size_t kBlocksARead = 8, kEventsARead = 128;

// A thread that reads pages of the journal, one at a time, since a read may block on the disk.
// Users take turns, and each user is charged the CPU time that the thread uses for the pages; see
// RequestScheduler. Not thread-safe, never blocks.
//
//   { ready(), start_next(), take() }*
template <class Work, class Page>
class PageThread {
 public:
  // The thread calls `read` with each work, and `on_page` when take() has the page. `clock` must
  // outlive this object.
  PageThread(const char* name, std::function<Page(const Work&)> read, std::function<void()> on_page,
             Clock& clock)
      : clock_(clock),
        thread_(
            name,
            [read = std::move(read)](const Work& work) {
              const uint64_t began = thread_cpu_ns();
              Page page = read(work);
              return Done{.page = std::move(page), .cpu_ns = thread_cpu_ns() - began};
            },
            std::move(on_page)) {}

  // The client wants one page. `owner`: the user to be charged.
  void ready(uint32_t owner, uint64_t client) {
    scheduler_.ready(owner, client, clock_.monotonic_ns());
  }
  // Starts to read the next page, if no page is being read. `work_of` is called with clients that
  // are ready, and returns their work; nullopt: the request was cancelled.
  void start_next(const std::function<std::optional<Work>(uint64_t client)>& work_of) {
    while (!busy_) {
      const uint64_t now = clock_.monotonic_ns();
      const auto pick = scheduler_.next(now);
      if (!pick) return;
      if (auto work = work_of(pick->client)) {
        busy_ = pick;
        thread_.request(*std::move(work));
      } else {
        scheduler_.done(*pick, 0, server::RequestScheduler::Again::kNo, now);
      }
    }
  }
  // The page that was read since the last call. Call start_next() afterwards.
  std::optional<Page> take() {
    std::vector<Done> all = thread_.take();
    if (all.empty()) return std::nullopt;
    scheduler_.done(*std::exchange(busy_, std::nullopt), all.front().cpu_ns,
                    server::RequestScheduler::Again::kNo, clock_.monotonic_ns());
    return std::move(all.front().page);
  }
  // When to call start_next() again, unless a page is being read; CLOCK_MONOTONIC, 0: never, 1:
  // now.
  uint64_t due_ns() const { return busy_ ? 0 : scheduler_.due_ns(); }

  // See WorkerThread.
  void request_stop() { thread_.request_stop(); }
  bool await_end(std::chrono::steady_clock::time_point deadline) {
    return thread_.await_end(deadline);
  }

 private:
  struct Done {
    Page page;
    uint64_t cpu_ns = 0;
  };

  Clock& clock_;
  server::RequestScheduler scheduler_;
  std::optional<server::RequestScheduler::Pick> busy_;  // its page is being read
  WorkerThread<Work, Done> thread_;
};

}  // namespace knell::daemon
