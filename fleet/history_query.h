// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fleet/interest.h"

// The messages of a query of the past. A reader asks a host for one page after the other:
//
//   knell.rq.HOST         reader -> host: a HistoryRequest
//   knell.rp.HOST.QUERY   host -> reader: a HistoryPage
//
// A host has at most one page of a query in memory, and reads on only when the next page is
// requested. A request that is sent again gets the same page, so either message may be lost. The
// subject of an answer has the name of the host, which the server checks; the host derives it from
// the query, and does not use the reply subject of the message, so a request cannot make it publish
// anywhere else.
namespace knell::fleet {

constexpr size_t kMostRequestBytes = size_t{128} << 10;  // more than kMostPredicates need
constexpr size_t kLeastPageBytes = size_t{4} << 10, kMostPageBytes = size_t{64} << 10;

struct HistoryRequest {
  enum class Kind {
    kPage,   // send page `page`
    kAlive,  // the reader still wants the next page, later
    kEnd     // the reader wants no more pages
  };
  Kind kind = Kind::kPage;
  std::string query;  // random_name() of this query
  uint32_t page = 1;  // from 1 on
  // Of page 1 only. The lease of the selector is not used.
  Selector selector;
  int64_t since_ns = 0, until_ns = 0;    // as in knell_history_options
  uint64_t last = 0;                     // as there
  bool this_boot = false;                // the last boot of the host
  uint64_t page_bytes = kMostPageBytes;  // about; a page with one event may be larger

  bool operator==(const HistoryRequest&) const = default;
};

std::string request_json(const HistoryRequest& request);
// Errors: EINVAL: not a value of request_json(), or above a bound. If the name of the query is
// valid, `ret_query` is set also then.
Result<HistoryRequest> parse_request(const std::string& text, std::string& ret_query);

struct HistoryPage {
  enum class State {
    kMore,       // the next page may be requested
    kEnd,        // there are no more events
    kBusy,       // the host answers as many queries as it does at a time: request it again later
    kUnknown,    // the host does not know this query (any more): its forwarder was restarted
    kRefused,    // the host does not answer this
    kUnreadable  // it could not read its journal
  };
  State state = State::kMore;
  uint32_t page = 1;
  std::string text;       // kRefused, kUnreadable, kUnknown: why
  std::string events;     // the events that the host was willing to look for, as events_text()
  bool limited = false;   // because of that, fewer than were asked for
  bool own_user = false;  // the forwarder may see the processes of its own user only
  std::string lines;      // JSON objects, as in the messages of events, a line each
};

// One JSON object in a line, then the lines of the events.
std::string page_text(const HistoryPage& page);
// Errors: EINVAL.
Result<HistoryPage> parse_page(std::string_view text);

}  // namespace knell::fleet
