// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/history_service.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <future>
#include <numeric>

#include "base/json_value.h"
#include "fleet/past_for_test.h"

namespace knell::fleet {
namespace {

using namespace std::chrono_literals;
using State = HistoryPage::State;
using Kind = HistoryRequest::Kind;

constexpr int kPatienceMs = 120'000;  // only to end a test that hangs

std::string query_name(int number) { return fmt::format("{:032x}", number); }

HistoryRequest first_request(int query = 1, uint32_t events = KNELL_EVENT_ALL) {
  HistoryRequest request;
  request.query = query_name(query);
  request.selector = {request.query, "*", events, {}, 0};
  request.page_bytes = kLeastPageBytes;
  return request;
}

HistoryRequest request_of(int query, uint32_t page, Kind kind = Kind::kPage) {
  HistoryRequest request = first_request(query);
  request.page = page;
  request.kind = kind;
  return request;
}

HistoryService::Limits limits_for_test() {
  HistoryService::Limits limits;
  limits.bytes_per_second = UINT64_MAX;
  limits.page = 1h;
  return limits;
}

std::unique_ptr<HistoryService> service(HistoryService::Open open,
                                        HistoryService::Policy policy = {"db1", KNELL_EVENT_ALL},
                                        HistoryService::Limits limits = limits_for_test()) {
  auto made = HistoryService::create(std::move(policy), limits, std::move(open));
  EXPECT_TRUE(made);
  return *std::move(made);
}

// The next answer.
HistoryPage page_from(HistoryService& service, const std::string& query = query_name(1)) {
  for (;;) {
    pollfd ready{service.fd(), POLLIN, 0};
    if (::poll(&ready, 1, kPatienceMs) != 1) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    const auto replies = service.next_replies();
    if (replies.empty()) continue;
    EXPECT_EQ(replies.size(), 1U);
    EXPECT_EQ(replies[0].query, query);
    auto page = parse_page(replies[0].text);
    EXPECT_TRUE(page);
    return page ? *page : HistoryPage{};
  }
}

HistoryPage ask(HistoryService& service, const HistoryRequest& request) {
  service.submit(request_json(request));
  return page_from(service, request.query);
}

std::vector<int> pids(const HistoryPage& page) {
  std::vector<int> out;
  for (size_t at = 0; at < page.lines.size();) {
    const size_t end = page.lines.find('\n', at);
    const auto value = parse_json_object(page.lines.substr(at, end - at));
    at = end + 1;
    EXPECT_EQ((*value)["host"].text(), "db1");
    out.push_back(static_cast<int>((*value)["pid"].count()));
  }
  return out;
}

std::vector<int> numbers_to(int last) {
  std::vector<int> numbers(static_cast<size_t>(last));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

TEST(HistoryService, PagesHaveEveryEventOnce) {
  PastForTest past(1000);
  const auto host = service(past.open());
  HistoryPage page = ask(*host, first_request());
  std::vector<int> all = pids(page);
  uint32_t number = 1;
  while (page.state == State::kMore) {
    EXPECT_LE(page.lines.size(), kLeastPageBytes);
    EXPECT_FALSE(page.lines.empty());
    page = ask(*host, request_of(1, ++number));
    EXPECT_EQ(page.page, number);
    const std::vector<int> more = pids(page);
    all.insert(all.end(), more.begin(), more.end());
  }
  EXPECT_EQ(page.state, State::kEnd) << page.text;
  EXPECT_GT(number, 10U);
  EXPECT_EQ(all, numbers_to(1000));
  EXPECT_FALSE(page.limited);
  EXPECT_EQ(past.asked().size(), 1U);
}

TEST(HistoryService, ARequestThatComesAgainGetsTheSamePage) {
  PastForTest past(100);
  const auto host = service(past.open());
  const HistoryPage first = ask(*host, first_request());
  EXPECT_EQ(ask(*host, first_request()).lines, first.lines);
  const HistoryPage second = ask(*host, request_of(1, 2));
  EXPECT_NE(second.lines, first.lines);
  EXPECT_EQ(ask(*host, request_of(1, 2)).lines, second.lines);
  EXPECT_EQ(ask(*host, request_of(1, 1)).state, State::kUnknown);
  EXPECT_EQ(ask(*host, request_of(1, 4)).state, State::kUnknown);
}

TEST(HistoryService, PassesOnWhatIsAsked) {
  PastForTest past(3);
  const auto host = service(past.open());
  HistoryRequest request = first_request(1, KNELL_EVENT_NONZERO_EXIT);
  request.since_ns = 5;
  request.until_ns = 6;
  request.last = 7;
  request.this_boot = true;
  request.selector.predicates["ended"] = {"2"};
  EXPECT_EQ(pids(ask(*host, request)), std::vector<int>{2});
  ASSERT_EQ(past.asked().size(), 1U);
  const HistoryOptions& asked = past.asked()[0];
  EXPECT_EQ(asked.events, uint32_t{KNELL_EVENT_NONZERO_EXIT});
  EXPECT_EQ(asked.since_ns, 5);
  EXPECT_EQ(asked.until_ns, 6);
  EXPECT_EQ(asked.last, 7U);
  EXPECT_EQ(asked.this_boot, 1U);
}

TEST(HistoryService, TheHostDecidesWhatIsSent) {
  PastForTest past(6);
  const auto host =
      service(past.open(),
              {.host = "db1", .allowed = KNELL_EVENT_NONZERO_EXIT, .details = KNELL_DETAILS_NAMES});
  const HistoryPage page = ask(*host, first_request());
  EXPECT_EQ(pids(page), (std::vector<int>{1, 2, 4, 5}));
  EXPECT_TRUE(page.limited);
  EXPECT_EQ(page.events, "nonzero-exit");
  const auto event = parse_json_object(page.lines.substr(0, page.lines.find('\n')));
  EXPECT_EQ((*event)["comm"].text(), "worker");
  EXPECT_EQ((*event)["exe"].text(), "");

  const HistoryPage none = ask(*host, first_request(2, KNELL_EVENT_FORK));
  EXPECT_EQ(none.state, State::kRefused);
  EXPECT_TRUE(none.text.contains("nonzero-exit")) << none.text;
}

TEST(HistoryService, RefusesPredicatesThatNeedMoreDetails) {
  PastForTest past(6);
  const auto host = service(
      past.open(), {.host = "db1", .allowed = KNELL_EVENT_ALL, .details = KNELL_DETAILS_STATUS});
  HistoryRequest request = first_request();
  request.selector.predicates["unit"] = {"cron.service"};
  const HistoryPage page = ask(*host, request);
  EXPECT_EQ(page.state, State::kRefused);
  EXPECT_TRUE(page.text.contains("--details status")) << page.text;
  EXPECT_TRUE(past.asked().empty());
  request = first_request(2);
  request.selector.predicates["ended"] = {"2"};
  EXPECT_EQ(pids(ask(*host, request)), (std::vector<int>{2, 5}));
}

TEST(HistoryService, AnswersNothingIfNothingIsAllowed) {
  PastForTest past(6);
  const auto host = service(past.open(), {.host = "db1", .allowed = 0});
  const HistoryPage page = ask(*host, first_request());
  EXPECT_EQ(page.state, State::kRefused);
  EXPECT_TRUE(page.text.contains("--no-history")) << page.text;
  EXPECT_TRUE(past.asked().empty());
}

TEST(HistoryService, RefusesInvalidRequests) {
  PastForTest past(6);
  const auto host = service(past.open());
  HistoryRequest request = first_request();
  request.selector.hosts = "web*";
  EXPECT_EQ(ask(*host, request).state, State::kRefused);
  request = first_request();
  request.selector.predicates["under"] = {"1"};
  EXPECT_EQ(ask(*host, request).state, State::kRefused);
  host->submit(R"({"query":")" + query_name(1) + R"("})");
  EXPECT_EQ(page_from(*host).state, State::kRefused);
  host->submit("{}");  // without a query there is no subject for an answer
  EXPECT_TRUE(past.asked().empty());
  EXPECT_EQ(ask(*host, first_request()).state, State::kEnd);
}

TEST(HistoryService, SaysWhyTheJournalCannotBeRead) {
  const auto host = service([](const HistoryOptions& options, std::error_code& error) {
    return Listener::open_history("/nowhere/journal.db", options, error);
  });
  const HistoryPage page = ask(*host, first_request());
  EXPECT_EQ(page.state, State::kUnreadable);
  EXPECT_TRUE(page.text.contains("/nowhere/journal.db")) << page.text;
}

TEST(HistoryService, AnEmptyJournalHasNoEvents) {
  const auto host = service([](const HistoryOptions&, std::error_code& error) {
    error = std::make_error_code(std::errc::no_message_available);
    return Listener();
  });
  const HistoryPage page = ask(*host, first_request());
  EXPECT_EQ(page.state, State::kEnd);
  EXPECT_EQ(page.lines, "");
}

TEST(HistoryService, HasAsManyQueriesAsItMay) {
  PastForTest past(1000);
  HistoryService::Limits limits = limits_for_test();
  limits.queries = 2;
  const auto host = service(past.open(), {"db1", KNELL_EVENT_ALL}, limits);
  EXPECT_EQ(ask(*host, first_request(1)).state, State::kMore);
  EXPECT_EQ(ask(*host, first_request(2)).state, State::kMore);
  EXPECT_EQ(ask(*host, first_request(3)).state, State::kBusy);
  host->submit(request_json(request_of(1, 2, Kind::kEnd)));
  EXPECT_EQ(ask(*host, first_request(3)).state, State::kMore);
  EXPECT_EQ(ask(*host, request_of(2, 2)).state, State::kMore);  // the first query was not disturbed
  EXPECT_EQ(ask(*host, request_of(1, 2)).state, State::kUnknown);
}

TEST(HistoryService, AQueryThatEndedMakesRoom) {
  PastForTest past(2);
  HistoryService::Limits limits = limits_for_test();
  limits.queries = 1;
  const auto host = service(past.open(), {"db1", KNELL_EVENT_ALL}, limits);
  EXPECT_EQ(ask(*host, first_request(1)).state, State::kEnd);
  // a repeated request gets the same answer
  EXPECT_EQ(ask(*host, first_request(1)).state, State::kEnd);
  EXPECT_EQ(ask(*host, first_request(2)).state, State::kEnd);
}

TEST(HistoryService, ForgetsAQueryWhoseReaderIsSilent) {
  PastForTest past(1000);
  HistoryService::Limits limits = limits_for_test();
  limits.idle = 0ms;
  const auto host = service(past.open(), {"db1", KNELL_EVENT_ALL}, limits);
  EXPECT_EQ(ask(*host, first_request(1)).state, State::kMore);
  EXPECT_EQ(ask(*host, request_of(1, 2)).state, State::kUnknown);
}

TEST(HistoryService, SendsAPageThatIsNotFullAfterItsTime) {
  PastForTest past(1000);
  HistoryService::Limits limits = limits_for_test();
  limits.page = 0ms;
  const auto host = service(past.open(), {"db1", KNELL_EVENT_ALL}, limits);
  const HistoryPage page = ask(*host, first_request());
  EXPECT_EQ(page.state, State::kMore);
  EXPECT_EQ(page.lines, "");
}

// While the thread reads the journal, submit() does not block, and the number of waiting requests
// is limited.
TEST(HistoryService, SubmitNeverWaits) {
  PastForTest past(1);
  std::promise<void> opening, go_on;
  HistoryService::Limits limits = limits_for_test();
  limits.requests = 3;
  bool first = true;
  const auto host = service(
      [&, open = past.open()](const HistoryOptions& options, std::error_code& error) {
        if (std::exchange(first, false)) {
          opening.set_value();
          go_on.get_future().wait();
        }
        return open(options, error);
      },
      {"db1", KNELL_EVENT_ALL}, limits);
  host->submit(request_json(first_request(1)));
  opening.get_future().wait();
  for (int i = 0; i < 3; ++i)  // a repeated request waits only once
    for (int query = 2; query < 10; ++query) host->submit(request_json(first_request(query)));
  EXPECT_TRUE(host->next_replies().empty());
  go_on.set_value();
  for (int query = 1; query <= 4;) {
    pollfd ready{host->fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&ready, 1, kPatienceMs), 1);
    for (const auto& reply : host->next_replies()) EXPECT_EQ(reply.query, query_name(query++));
  }
  // The other requests were dropped; a reader sends them again.
  EXPECT_EQ(ask(*host, first_request(5)).state, State::kEnd);
}

}  // namespace
}  // namespace knell::fleet
