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

// A request to read the journal for one durable listener.
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

// The next events for the listener, as one frame; or the events that it missed.
struct Page {
  struct Entry {
    int64_t seq = 0, time_ns = 0;
  };
  uint64_t client = 0, turn = 0;
  Result<void> outcome;
  std::string frame;  // empty: no event
  std::vector<Entry> entries;
  uint64_t redelivered = 0;  // number of redelivered entries
  int64_t next_seq = 0;      // start of the next page
  bool end = false;          // there are no further events
  // Events from `from` on were deleted: there are no entries, and next_seq is the seq of the oldest
  // event. The row has the number of missed events.
  std::optional<journal::DurableName> missed;
};

// Reads pages in a thread, since a read may block on the disk. Handles one request of each client
// at a time, in the order of the requests.
class DurablePages {
 public:
  // The thread calls `on_page` when take() has a page.
  DurablePages(std::string path, std::function<void()> on_page);

  void request(PageRequest request) { thread_.request(std::move(request)); }
  std::vector<Page> take() { return thread_.take(); }
  // See WorkerThread.
  void request_stop() { thread_.request_stop(); }
  bool await_end(std::chrono::steady_clock::time_point deadline) {
    return thread_.await_end(deadline);
  }

 private:
  Page read(const PageRequest& request);
  Result<void> read_into(const PageRequest& request, Page& page);
  Result<void> open(const std::string& id);

  const std::string path_;
  // Used by the thread.
  std::optional<journal::Reader> reader_;
  server::WireEventEncoder encoder_;
  std::vector<knell_event> events_;
  WorkerThread<PageRequest, Page> thread_;
};

}  // namespace knell::daemon
