// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "daemon/page_thread.h"
#include "hub/filter.h"
#include "journal/durable_name.h"
#include "journal/reader.h"
#include "server/wire_event_encoder.h"

namespace knell::daemon {

// A request to read the journal for one durable listener.
struct PageRequest {
  uint64_t client = 0, turn = 0;  // returned with the page
  uint32_t account = 0;           // the user to be charged, see RequestScheduler
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

// The next events for the listener, as one frame; or the events that it missed. Without events and
// before the end, the next page continues the search.
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

// Reads pages in a PageThread. After a page that could not be read, the next request of that client
// waits for a moment. Not thread-safe, never blocks.
class DurablePages {
 public:
  // The thread calls `on_page` when take() has a page.
  DurablePages(std::string path, std::function<void()> on_page, Clock& clock = system_clock());

  // Replaces an earlier request of this client, unless that is already being served.
  void request(PageRequest request);
  void cancel(uint64_t client);
  // Returns a page that was read since the last call. Then starts the next request.
  std::optional<Page> take();
  // When to call take() even if there is no page; CLOCK_MONOTONIC, 0: never, 1: now.
  uint64_t due_ns() const;
  // See WorkerThread.
  void request_stop() { thread_.request_stop(); }
  bool await_end(std::chrono::steady_clock::time_point deadline) {
    return thread_.await_end(deadline);
  }

 private:
  Page read(const PageRequest& request);
  Result<void> read_into(const PageRequest& request, Page& page);
  Result<void> read_events(const PageRequest& request, Page& page);
  Result<void> open(const std::string& id);
  void start_next();

  Clock& clock_;
  std::map<uint64_t, PageRequest> requests_;  // by client
  // The ends of pauses after failures, by client, until its next page; and the requests that wait
  // for the end.
  std::map<uint64_t, uint64_t> pauses_;
  std::set<std::pair<uint64_t, uint64_t>> paused_;

  const std::string path_;
  // Used by the thread.
  std::optional<journal::Reader> reader_;
  server::WireEventEncoder encoder_;
  std::vector<knell_event> events_;
  PageThread<PageRequest, Page> thread_;
};

}  // namespace knell::daemon
