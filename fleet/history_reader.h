// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fleet/connection.h"
#include "fleet/history_query.h"
#include "fleet/json_event.h"

namespace knell::fleet {

// Past events of several hosts, merged by time; the events of a host keep their order. Keeps at
// most two pages of each host in memory: it requests the next page when it starts to read the page
// before. One thread calls step() when wake_fd() of the connection is readable, or after timeout().
class HistoryReader {
 public:
  // The most hosts, which limits the pages in memory; chosen, not measured.
  static constexpr size_t kMostHosts = 10'000;

  // `hosts`: name -> whether the host has been silent. A silent host is not waited for if the
  // server reports that no client receives its requests. `first`: the request, without `query`.
  // `patience`: how long to wait for the answer of a host. The connection and the clock must
  // outlive this object.
  HistoryReader(Connection& connection, Clock& clock, const std::map<std::string, bool>& hosts,
                HistoryRequest first, std::chrono::milliseconds patience);

  // Requests the first pages. Call once, first.
  Result<void> start();
  void step();
  std::chrono::milliseconds timeout() const;
  struct HostEvent {
    std::string host, line;  // `line`: the event as JSON
    JsonEvent event;
  };
  // nullopt: the next event is not known yet, or there are no more.
  std::optional<HostEvent> next();
  bool is_over() const { return unknown_ == 0 && heads_.empty(); }
  // Sends kEnd to the hosts: no more pages are wanted.
  void end();

  // Messages for the user, each with the hosts that it is about. Complete when is_over().
  using Notes = std::map<std::string, std::vector<std::string>>;
  const Notes& missing() const { return missing_; }  // hosts whose events are missing
  // hosts that sent only part of the events, because of their configuration
  const Notes& limits() const { return limits_; }

 private:
  struct Host {
    std::string name;
    bool silent = false;
    uint32_t page = 0;              // the last one that was received
    bool requested = false;         // the next page has been requested
    bool over = false;              // there are no more pages
    bool head_known = false;        // its next event is in heads_, or it has none
    bool busy = false;              // the last answer was kBusy
    std::deque<std::string> pages;  // received lines that were not read yet
    size_t at = 0;                  // position in the first of them
    uint64_t sent_ns = 0, deadline_ns = 0;
  };
  struct Head {
    int64_t time_ns;
    size_t host;
    HostEvent event;
    bool operator>(const Head& other) const {
      return std::pair(time_ns, host) > std::pair(other.time_ns, other.host);
    }
  };
  void receive(const Message& message);
  void receive_page(Host& host, HistoryPage page);
  void request(Host& host, HistoryRequest::Kind kind);
  void finish(Host& host, const std::string& missing);
  void refill(size_t index);
  std::optional<HostEvent> parse(Host& host);

  Connection& connection_;
  Clock& clock_;
  HistoryRequest first_;
  const uint64_t patience_ns_;
  std::vector<Host> hosts_;  // sorted by name
  std::map<std::string, size_t> index_;
  std::vector<Head> heads_;  // a heap; the first element is the next event
  size_t unknown_;           // hosts whose next event is not known
  Notes missing_, limits_;
};

}  // namespace knell::fleet
