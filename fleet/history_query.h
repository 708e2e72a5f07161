// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fleet/interest.h"

// The messages of a query for past events. A reader requests one page after the other from a host:
//
//   knell.rq.HOST         reader -> host: a HistoryRequest
//   knell.rp.HOST.QUERY   host -> reader: a HistoryPage
//
// A host keeps at most one page of a query in memory, and continues to read only when the next page
// is requested. A request that is sent again gets the same page, so both messages may be lost. The
// subject of an answer contains the name of the host, which the server checks. The host derives the
// subject from the query and ignores the reply subject of the message, so a request cannot make the
// host publish to any other subject.
// anywhere else.
namespace knell::fleet {

constexpr size_t kMostRequestBytes = size_t{128} << 10;  // large enough for kMostPredicates
constexpr size_t kLeastPageBytes = size_t{4} << 10, kMostPageBytes = size_t{64} << 10;

struct HistoryRequest {
  enum class Kind {
    kPage,   // send page `page`
    kAlive,  // the reader will request the next page later
    kEnd     // the reader wants no more pages
  };
  Kind kind = Kind::kPage;
  std::string query;  // random name of this query, see random_name()
  uint32_t page = 1;  // from 1 on
  // Only in the request for page 1. The lease of the selector is ignored.
  Selector selector;
  int64_t since_ns = 0, until_ns = 0;  // as in knell_history_options
  uint64_t last = 0;                   // as in knell_history_options
  bool this_boot = false;              // only events of the current boot of the host
  // approximate limit; a page with a single event may be larger
  uint64_t page_bytes = kMostPageBytes;

  bool operator==(const HistoryRequest&) const = default;
};

std::string request_json(const HistoryRequest& request);
// Errors: EINVAL: not a value of request_json(), or above a limit. `ret_query` is set also on an
// error if the name of the query is valid.
Result<HistoryRequest> parse_request(const std::string& text, std::string& ret_query);

struct HistoryPage {
  enum class State {
    kMore,     // the next page may be requested
    kEnd,      // there are no more events
    kBusy,     // the host already answers its maximum of queries: request the page again later
    kUnknown,  // the host does not know this query, for example because its forwarder was restarted
    kRefused,  // the host does not answer this request
    kUnreadable  // the host could not read its journal
  };
  State state = State::kMore;
  uint32_t page = 1;
  std::string text;       // kRefused, kUnreadable, kUnknown: the reason
  std::string events;     // the events that the host searched for, which it is willing to send, as
                          // events_text()
  bool limited = false;   // `events` has fewer types than were requested
  bool own_user = false;  // the forwarder may see only processes of its own user
  std::string lines;      // JSON objects, one a line, as in the messages of events
};

// One JSON object in a line, then the lines of the events.
std::string page_text(const HistoryPage& page);
// Errors: EINVAL.
Result<HistoryPage> parse_page(std::string_view text);

}  // namespace knell::fleet
