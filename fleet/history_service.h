// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <knell/knell.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fleet/history_query.h"

namespace knell::fleet {

// Answers queries for past events of this host, from its journal. A separate thread reads the
// journal, so the forwarder never waits for it; history_service.cc describes the limits of its
// work. Call all functions from one thread.
class HistoryService {
 public:
  // What this host is willing to send.
  struct Policy {
    std::string host;
    uint32_t allowed = 0;  // mask; 0: requests are refused
    uint32_t details = KNELL_DETAILS_FULL;
  };
  // These are chosen, not measured.
  struct Limits {
    size_t queries = 8;  // open at a time; each has an open journal and a page in memory
    // waiting requests; further ones are dropped, and the readers send them again
    size_t requests = 64;
    std::chrono::milliseconds idle = std::chrono::minutes(1);  // then the query is removed
    // then the page is sent even if it is not full
    std::chrono::milliseconds page = std::chrono::seconds(1);
    uint64_t bytes_per_second = uint64_t{4} << 20;
  };
  // Opens the journal: knell_open_history().
  using Open = std::function<Listener(const HistoryOptions&, std::error_code&)>;

  // Errors: those of eventfd(2).
  static Result<std::unique_ptr<HistoryService>> create(Policy policy, Limits limits, Open open);
  HistoryService(const HistoryService&) = delete;
  HistoryService& operator=(const HistoryService&) = delete;
  ~HistoryService();

  const std::string& host() const { return policy_.host; }
  // Adds a request: the text of a HistoryRequest. Does not block.
  void submit(const std::string& text);
  // POLLIN: next_replies() returns replies.
  int fd() const { return wake_.get(); }
  struct Reply {
    std::string query, text;  // `text`: of the HistoryPage
  };
  std::vector<Reply> next_replies();

 private:
  struct Query;
  HistoryService(Policy policy, Limits limits, Open open, UniqueFd wake);
  void run();
  void remove_idle();
  bool make_room();
  std::optional<std::string> answer(const HistoryRequest& request);
  HistoryPage first_page(const HistoryRequest& request);
  Result<void> open(Query& query, const HistoryRequest& request) const;
  HistoryPage next_page(Query& query);
  Result<bool> read_events(Query& query, HistoryPage& page);
  void push_reply(std::string query, std::string text);

  const Policy policy_;
  const Limits limits_;
  const Open open_;
  UniqueFd wake_;

  std::unordered_map<std::string, std::unique_ptr<Query>> queries_;  // used only by the thread

  std::mutex mutex_;  // guards the members below
  std::condition_variable changed_;
  std::deque<HistoryRequest> requests_;  // at most one for each query and kind
  std::vector<Reply> replies_;
  bool stop_ = false;

  std::thread thread_;
};

}  // namespace knell::fleet
