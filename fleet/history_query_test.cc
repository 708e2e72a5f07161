// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/history_query.h"

#include <gtest/gtest.h>
#include <knell/knell.h>

namespace knell::fleet {
namespace {

const std::string kQuery = "0123456789abcdef0123456789abcdef";

HistoryRequest first_page() {
  HistoryRequest request;
  request.query = kQuery;
  request.selector = {kQuery, "db*", KNELL_EVENT_NONZERO_EXIT, {{"comm", {"sh", "a\"b"}}}, 0};
  request.since_ns = 1'790'000'000'000'000'001;
  request.until_ns = INT64_MAX;
  request.last = 7;
  request.this_boot = true;
  request.page_bytes = 10'000;
  return request;
}

TEST(HistoryQuery, RequestsAreReadAsTheyWereWritten) {
  std::string query;
  const HistoryRequest first = first_page();
  EXPECT_EQ(parse_request(request_json(first), query).value(), first);
  EXPECT_EQ(query, kQuery);
  for (const auto kind :
       {HistoryRequest::Kind::kPage, HistoryRequest::Kind::kAlive, HistoryRequest::Kind::kEnd}) {
    HistoryRequest next;
    next.kind = kind;
    next.query = kQuery;
    next.page = 4'000'000'000;
    EXPECT_EQ(parse_request(request_json(next), query).value(), next);
  }
}

TEST(HistoryQuery, InvalidRequestsAreRefused) {
  std::string query = "old";
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"query":"../x"})"),
        R"({"query":")" + kQuery + R"(x","want":"page","page":1})",
        std::string(kMostRequestBytes, ' ') + "{}"}) {
    EXPECT_FALSE(parse_request(text, query)) << text;
    EXPECT_EQ(query, "");
  }
  // The name of the query is valid, so the host can answer with an error.
  for (const char* rest : {"}", R"(,"want":"all","page":1})", R"(,"want":"page","page":0})",
                           R"(,"want":"page","page":1})"}) {
    EXPECT_FALSE(parse_request(R"({"query":")" + kQuery + '"' + rest, query)) << rest;
    EXPECT_EQ(query, kQuery);
  }
}

TEST(HistoryQuery, SizesOfPagesAreBounded) {
  std::string query;
  HistoryRequest request = first_page();
  request.page_bytes = 0;
  EXPECT_EQ(parse_request(request_json(request), query)->page_bytes, kLeastPageBytes);
  request.page_bytes = UINT64_MAX;
  EXPECT_EQ(parse_request(request_json(request), query)->page_bytes, kMostPageBytes);
}

TEST(HistoryQuery, PagesAreReadAsTheyWereWritten) {
  HistoryPage page;
  page.state = HistoryPage::State::kUnreadable;
  page.page = 9;
  page.text = "a \"text\"\n";
  page.events = "nonzero-exit";
  page.limited = page.own_user = true;
  page.lines = "{\"host\":\"a\"}\n{\"host\":\"b\"}\n";
  const auto read = parse_page(page_text(page));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->state, page.state);
  EXPECT_EQ(read->page, page.page);
  EXPECT_EQ(read->text, page.text);
  EXPECT_EQ(read->events, page.events);
  EXPECT_TRUE(read->limited);
  EXPECT_TRUE(read->own_user);
  EXPECT_EQ(read->lines, page.lines);
  EXPECT_EQ(parse_page(page_text({}))->state, HistoryPage::State::kMore);
  for (const char* text : {"", "{}", "{}\n", "{\"state\":\"later\"}\n", "x\n"})
    EXPECT_FALSE(parse_page(text)) << text;
}

}  // namespace
}  // namespace knell::fleet
