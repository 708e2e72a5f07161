// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "daemon/worker_thread.h"
#include "hub/filter.h"
#include "journal/durable_name.h"
#include "journal/reader.h"
#include "server/wire_event_encoder.h"

namespace knell::daemon {

// What to read from the journal for one durable listener.
struct PageRequest {
  uint64_t client = 0, turn = 0;  // returned with the page
  std::string journal;            // id
  std::string name;
  uint32_t owner = 0;
  int64_t from = 0;         // seq of the first event
  int64_t redelivered = 0;  // events up to this seq are marked as redelivered
  std::shared_ptr<const journal::DurableFilter> filter;
  hub::Scope scope;
  uint32_t details = 0;
  size_t most_events = 0;
};

// The next events that it wants, as one frame; or what it missed.
struct Page {
  struct Entry {
    int64_t seq = 0, time_ns = 0;
  };
  uint64_t client = 0, turn = 0;
  Result<void> outcome;
  std::string frame;  // empty: no event
  std::vector<Entry> entries;
  uint64_t redelivered = 0;  // of the entries
  int64_t next_seq = 0;      // where the next page begins
  bool end = false;          // there were no further events
  // Events from `from` on were deleted: there are no entries, and next_seq is that of the oldest
  // event. The row says how many it missed.
  std::optional<journal::DurableName> missed;
};

// Reads pages in a thread of its own, since a read may wait for the disk. One request of each
// client at a time, in their order.
class DurablePages {
 public:
  // `on_page` is called by the thread: take() has a page.
  DurablePages(std::string path, std::function<void()> on_page);

  void request(PageRequest request) { thread_.request(std::move(request)); }
  std::vector<Page> take() { return thread_.take(); }
  // As those of WorkerThread.
  void request_stop() { thread_.request_stop(); }
  bool await_end(std::chrono::steady_clock::time_point deadline) {
    return thread_.await_end(deadline);
  }

 private:
  Page read(const PageRequest& request);
  Result<void> read_into(const PageRequest& request, Page& page);
  Result<void> open(const std::string& id);

  const std::string path_;
  // Of the thread.
  std::optional<journal::Reader> reader_;
  server::WireEventEncoder encoder_;
  std::vector<knell_event> events_;
  WorkerThread<PageRequest, Page> thread_;
};

}  // namespace knell::daemon
