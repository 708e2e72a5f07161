// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/page_thread.h"
#include "hub/filter.h"
#include "journal/reader.h"
#include "server/connection_from_client.h"
#include "wire/protocol.h"

namespace knell::daemon {

// Pages of the journal for `knell history` of users who may not read the file. Used by the main
// thread; never blocks. See history_pages.cc.
class HistoryPages {
 public:
  using Client = server::ConnectionFromClient;

  // `path`: of the journal. `resume`: Server::resume().
  static Result<std::unique_ptr<HistoryPages>> create(std::string path,
                                                      std::function<void(Client&)> resume,
                                                      Clock& clock = system_clock());
  ~HistoryPages();

  int fd() const { return event_.get(); }  // when readable, call on_ready()
  void on_ready();
  // When to call on_ready() even if fd() is not readable; CLOCK_MONOTONIC, 0: never, 1: now.
  uint64_t due_ns() const { return thread_ == nullptr ? 0 : thread_->due_ns(); }
  // Sets the id of the journal and the end of its events. Requests wait for the first call, which
  // follows when the recorder has opened or created the journal, or has failed (`id` "").
  void on_progress(const std::string& id, int64_t next_seq);
  // See WorkerThread.
  void request_stop() {
    if (thread_ != nullptr) thread_->request_stop();
  }
  bool await_end(std::chrono::steady_clock::time_point deadline) {
    return thread_ == nullptr || thread_->await_end(deadline);
  }

  // The functions of server::DaemonInterface.
  Result<void> read(Client& client, wire::History asked, hub::Filter filter);
  void cancel(const Client& client);

 private:
  // The request of one client, until it is answered.
  struct Request {
    Client* client = nullptr;
    uint64_t token = 0;
    wire::History asked;
    std::shared_ptr<const hub::Filter> filter;
    bool waits = false;  // waits until the journal has more events
  };
  // A unit of work for the thread.
  struct Work {
    uint64_t client = 0, token = 0;
    std::string journal;  // id; "": any
    wire::History asked;
    std::shared_ptr<const hub::Filter> filter;
  };
  struct Page {
    uint64_t client = 0, token = 0;
    Result<std::vector<std::string>> packets;
  };
  class PageReader;
  using Thread = PageThread<Work, Page>;

  HistoryPages(std::string path, std::function<void(Client&)> resume, Clock& clock);
  bool is_at_end(const wire::History& asked) const;
  void start();
  void make_ready(const Request& request);
  void start_next();
  void on_page(Page& page);

  const std::string path_;
  const std::function<void(Client&)> resume_;
  Clock& clock_;
  UniqueFd event_;  // eventfd(2)
  std::string journal_;
  int64_t next_seq_ = 0;
  std::map<uint64_t, Request> requests_;  // by client id
  uint64_t last_token_ = 0;
  std::unique_ptr<PageReader> reader_;  // used by the thread
  std::unique_ptr<Thread> thread_;
};

}  // namespace knell::daemon
