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

// The past of several hosts, merged by time; the events of a host stay in their order. Has at most
// two pages of each host in memory: it requests the next one when it begins with the one before.
// One thread calls step() when the connection has news, or after timeout().
class HistoryReader {
 public:
  // Of hosts, so that the pages in memory are bounded; picked.
  static constexpr size_t kMostHosts = 10'000;

  // `hosts`: name -> whether it has been silent, so that it is not waited for when the server knows
  // that it is away. `first`: what is requested, without `query`. `patience`: how long to wait for
  // an answer of a host. The connection and the clock must outlive it.
  HistoryReader(Connection& connection, Clock& clock, const std::map<std::string, bool>& hosts,
                HistoryRequest first, std::chrono::milliseconds patience);

  // Requests the first pages. Call once, first.
  Result<void> start();
  void step();
  std::chrono::milliseconds timeout() const;
  struct HostEvent {
    std::string host, line;  // `line`: of JSON
    JsonEvent event;
  };
  // nullopt: it is not known yet which event is the next one, or there are no more.
  std::optional<HostEvent> next();
  bool is_over() const { return unknown_ == 0 && heads_.empty(); }
  // Tells the hosts that no more pages are wanted.
  void end();

  // What the reader of the output must know, with the hosts that it is about. Complete when
  // is_over().
  using Notes = std::map<std::string, std::vector<std::string>>;
  const Notes& missing() const { return missing_; }  // events of these hosts are missing
  const Notes& limits() const { return limits_; }    // and these show a part, by their choice

 private:
  struct Host {
    std::string name;
    bool silent = false;
    uint32_t page = 0;              // the last one that was received
    bool requested = false;         // and the next one is requested
    bool over = false;              // there are no more pages
    bool head_known = false;        // its next event is in heads_, or it has none
    bool busy = false;              // the last answer
    std::deque<std::string> pages;  // lines that were received and not read
    size_t at = 0;                  // in the first of them
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
  std::vector<Host> hosts_;  // by name
  std::map<std::string, size_t> index_;
  std::vector<Head> heads_;  // a heap: the first one is the next
  size_t unknown_;           // hosts whose next event is not known
  Notes missing_, limits_;
};

}  // namespace knell::fleet
