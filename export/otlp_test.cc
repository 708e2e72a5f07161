// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <vector>

#include "export/backoff.h"
#include "export/event_for_test.h"
#include "export/http_client.h"
#include "export/otlp_json.h"
#include "export/otlp_sender.h"

namespace knell::exporter {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

std::string request(const knell_event& event, uint64_t refused = 0) {
  const knell_event* pointers[] = {&event};
  return otlp_request({.host_name = "db1", .host_id = "abc"}, Events(pointers), {.count = refused},
                      7, OtlpSender::kMostBytes)
      .body;
}

// The schema is checked by the receiver of tests/export/otlp_test.
TEST(OtlpJson, IsTheRequestOfOneLog) {
  Exit exit("", exit_status(3));
  exit.time_ns = 1234567890123456789;
  exit.pid = 42;
  EXPECT_EQ(request(exit),
            R"({"resourceLogs":[{"resource":{"attributes":[)"
            R"({"key":"service.name","value":{"stringValue":"knelld"}},)"
            R"({"key":"host.name","value":{"stringValue":"db1"}},)"
            R"({"key":"host.id","value":{"stringValue":"abc"}},)"
            R"({"key":"os.type","value":{"stringValue":"linux"}}]},)"
            R"("scopeLogs":[{"scope":{"name":"knell-export","version":")" KNELL_VERSION R"("},)"
            R"("logRecords":[{"timeUnixNano":"1234567890123456789","observedTimeUnixNano":"7",)"
            R"("severityNumber":13,"severityText":"WARN","eventName":"process.exit",)"
            R"("body":{"stringValue":"process[42]: exit 3"},"attributes":[)"
            R"({"key":"knell.type","value":{"stringValue":"exit"}},)"
            R"({"key":"knell.seq","value":{"intValue":"0"}},)"
            R"({"key":"knell.mono_ns","value":{"intValue":"0"}},)"
            R"({"key":"knell.via","value":{"stringValue":"auto"}},)"
            R"({"key":"process.pid","value":{"intValue":"42"}},)"
            R"({"key":"process.exit.code","value":{"intValue":"3"}},)"
            R"({"key":"knell.ended","value":{"stringValue":"exit 3"}},)"
            R"({"key":"error.type","value":{"stringValue":"exit_3"}}]}]}]}]})");
}

TEST(OtlpJson, TextOfAnyBytesIsValid) {
  const std::string comm("a\"\\\x01\xff\n", 6);
  Exit exit("", exit_status(0));
  exit.comm = text(comm);
  rapidjson::Document document;
  const std::string body = request(exit);
  document.Parse<rapidjson::kParseValidateEncodingFlag>(body.data(), body.size());
  EXPECT_FALSE(document.HasParseError()) << body;
}

TEST(OtlpJson, LossesAreRecords) {
  EXPECT_THAT(request(Lost(12)), testing::HasSubstr(R"("eventName":"knell.lost")"));
  EXPECT_THAT(request(Lost(12)),
              testing::HasSubstr(R"({"key":"knell.count","value":{"intValue":"12"}})"));
  EXPECT_THAT(request(Exit("", exit_status(1)), 5),
              testing::HasSubstr("5 events were refused by the endpoint"));
}

TEST(OtlpAnswer, SaysWhatWasRejected) {
  const auto answer =
      parse_otlp_answer(R"({"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"full"}})");
  EXPECT_EQ(answer.rejected, 3u);
  EXPECT_EQ(answer.message, "full");
  EXPECT_EQ(parse_otlp_answer(R"({"partialSuccess":{"rejectedLogRecords":4}})").rejected, 4u);
  for (const char* body : {"", "{}", "[]", "not JSON", R"({"partialSuccess":null})",
                           R"({"partialSuccess":{"rejectedLogRecords":-1,"errorMessage":[]}})"}) {
    EXPECT_EQ(parse_otlp_answer(body).rejected, 0u) << body;
    EXPECT_EQ(parse_otlp_answer(body).message, "") << body;
  }
}

TEST(Backoff, GrowsToItsLimitWithJitter) {
  Backoff backoff(1);
  milliseconds step = Backoff::kFirst;
  for (int i = 0; i < 20; ++i) {
    const milliseconds next = backoff.next(std::nullopt);
    EXPECT_GE(next, step / 2);
    EXPECT_LE(next, step);
    step = std::min(2 * step, Backoff::kMost);
  }
  backoff.reset();
  EXPECT_LE(backoff.next(std::nullopt), Backoff::kFirst);
}

TEST(Backoff, WaitsAsLongAsWasAskedWithinALimit) {
  Backoff backoff(1);
  EXPECT_GE(backoff.next(milliseconds(30000)), milliseconds(30000));
  EXPECT_LE(backoff.next(milliseconds(30000)), milliseconds(36000));
  EXPECT_LE(backoff.next(std::chrono::hours(24)), 2 * Backoff::kMostAsked);
}

TEST(LogsUrl, AppendsThePath) {
  EXPECT_EQ(*logs_url("http://127.0.0.1:4318"), "http://127.0.0.1:4318/v1/logs");
  EXPECT_EQ(*logs_url("https://otel.example.com/"), "https://otel.example.com/v1/logs");
  EXPECT_EQ(*logs_url("http://h/a//"), "http://h/a/v1/logs");
  EXPECT_EQ(*logs_url("http://h:1/v1/logs"), "http://h:1/v1/logs");
  for (const char* text :
       {"", "file:///etc/passwd", "ftp://h", "gopher://h", "127.0.0.1:4318", "http://"})
    EXPECT_FALSE(logs_url(text).has_value()) << text;
}

TEST(Headers, AreDecodedAndChecked) {
  EXPECT_THAT(*parse_headers("api-key=a%20b%3Dc, X-Scope=1 ,"),
              ElementsAre("api-key: a b=c", "X-Scope: 1"));
  EXPECT_TRUE(parse_headers("")->empty());
  for (const char* text : {"novalue", "=x", "a b=c", "k=v%0d%0aEvil: 1", "k=%00", "k:=v"})
    EXPECT_FALSE(parse_headers(text).has_value()) << text;
}

class OtlpSenderTest : public testing::Test {
 protected:
  HttpClient::Answer answer(const std::string& body) {
    bodies_.push_back(body);
    if (answers_.empty()) return {.status = 200, .body = "{}", .error = {}, .retry_after = {}};
    auto out = answers_.front();
    answers_.erase(answers_.begin());
    return out;
  }
  bool deliver() { return deliver({&exit_}); }
  bool deliver(const std::vector<const knell_event*>& events) {
    const auto done = sender_.deliver(Events(events), *stop_);
    return done && *done;
  }
  // The number of log records of each request.
  std::vector<size_t> records() const {
    std::vector<size_t> out;
    for (const std::string& body : bodies_) {
      size_t count = 0;
      for (size_t at = 0; (at = body.find("timeUnixNano\":", at)) != body.npos; ++at) ++count;
      out.push_back(count);
    }
    return out;
  }
  void answer_with(long status, std::string body = "") {
    answers_.push_back(
        {.status = status, .body = std::move(body), .error = "no route", .retry_after = {}});
  }

  Outcome<StopSignal> stop_ = StopSignal::create();
  Exit exit_{"", exit_status(1)};
  std::vector<HttpClient::Answer> answers_;
  std::vector<std::string> bodies_;
  OtlpSender sender_{
      [this](const std::string& body, StopSignal&) { return answer(body); }, {}, Backoff(1)};
};

TEST_F(OtlpSenderTest, SendsTheSameRequestAgainUntilItIsTaken) {
  answer_with(503);
  answer_with(0);
  EXPECT_TRUE(deliver());
  ASSERT_EQ(bodies_.size(), 3u);
  EXPECT_EQ(bodies_[0], bodies_[1]);
  EXPECT_EQ(bodies_[0], bodies_[2]);
  EXPECT_EQ(sender_.counts().refused, 0u);
}

TEST_F(OtlpSenderTest, CountsWhatIsRefusedAndSaysSoInTheNextRequest) {
  answer_with(400, "bad");
  EXPECT_TRUE(deliver());
  EXPECT_EQ(bodies_.size(), 1u);
  EXPECT_EQ(sender_.counts().refused, 1u);
  EXPECT_TRUE(deliver());
  EXPECT_TRUE(deliver());
  ASSERT_EQ(bodies_.size(), 3u);
  EXPECT_THAT(bodies_[1], testing::HasSubstr("1 events were refused"));
  EXPECT_THAT(bodies_[2], testing::Not(testing::HasSubstr("were refused")));
}

TEST_F(OtlpSenderTest, CountsAPartialSuccess) {
  answer_with(200, R"({"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}})");
  EXPECT_TRUE(deliver());
  EXPECT_EQ(bodies_.size(), 1u);
  EXPECT_EQ(sender_.counts().refused, 1u);
}

TEST_F(OtlpSenderTest, CountsNoMoreThanItHasSent) {
  answer_with(200, R"({"partialSuccess":{"rejectedLogRecords":"18446744073709551615"}})");
  EXPECT_TRUE(deliver());
  EXPECT_EQ(sender_.counts().refused, 1u);
  EXPECT_TRUE(deliver());
  EXPECT_THAT(bodies_[1], testing::HasSubstr("1 events were refused"));
}

TEST_F(OtlpSenderTest, CountsTheEventsOfALostEvent) {
  const Lost lost(1000);
  answer_with(400);
  EXPECT_TRUE(deliver({&exit_, &lost}));
  EXPECT_EQ(sender_.counts().refused, 1001u);
  EXPECT_TRUE(deliver());
  EXPECT_THAT(bodies_[1], testing::HasSubstr("1001 events were refused"));
  EXPECT_THAT(bodies_[1],
              testing::HasSubstr(R"({"key":"knell.exact","value":{"boolValue":true}})"));
}

TEST_F(OtlpSenderTest, AnUnknownNumberIsNotExact) {
  Lost lost(0);
  lost.has = 0;
  lost.flags = 0;
  answer_with(400);
  EXPECT_TRUE(deliver({&exit_, &lost}));
  EXPECT_TRUE(deliver());
  EXPECT_THAT(bodies_[1],
              testing::HasSubstr(R"({"key":"knell.exact","value":{"boolValue":false}})"));
}

TEST_F(OtlpSenderTest, LimitsTheBytesOfARequest) {
  const std::string comm(60'000, 'x');
  exit_.comm = text(comm);
  EXPECT_TRUE(deliver(std::vector<const knell_event*>(100, &exit_)));
  size_t sum = 0;
  for (const size_t count : records()) sum += count;
  EXPECT_EQ(sum, 100u);
  EXPECT_GT(bodies_.size(), 4u);
  for (const std::string& body : bodies_) EXPECT_LE(body.size(), size_t{1} << 20);
}

TEST_F(OtlpSenderTest, HalvesARequestThatIsTooLarge) {
  const std::string comm(10'000, 'x');
  exit_.comm = text(comm);
  answer_with(413);
  answer_with(413);
  EXPECT_TRUE(deliver(std::vector<const knell_event*>(8, &exit_)));
  EXPECT_THAT(records(), ElementsAre(8, 4, 2, 2, 2, 2));
  EXPECT_EQ(sender_.counts().refused, 0u);
  // The next batch begins with the size that was taken.
  bodies_.clear();
  EXPECT_TRUE(deliver(std::vector<const knell_event*>(4, &exit_)));
  EXPECT_THAT(records(), ElementsAre(2, 2));
}

TEST_F(OtlpSenderTest, RefusesOneEventThatIsTooLarge) {
  answer_with(413);
  answer_with(413);
  EXPECT_TRUE(deliver({&exit_, &exit_}));
  EXPECT_THAT(records(), ElementsAre(2, 1, 2));  // the last one reports the loss
  EXPECT_EQ(sender_.counts().refused, 1u);
}

TEST_F(OtlpSenderTest, OnlyTheFourStatusesAreSentAgain) {
  for (const long status : {301L, 400L, 401L, 404L, 413L, 500L, 501L}) {
    bodies_.clear();
    answer_with(status);
    EXPECT_TRUE(deliver());
    EXPECT_EQ(bodies_.size(), 1u) << status;
  }
}

TEST_F(OtlpSenderTest, StopsWhileItWaits) {
  ::raise(SIGTERM);  // blocked by StopSignal: stays pending
  answer_with(429);
  EXPECT_FALSE(deliver());
  EXPECT_EQ(bodies_.size(), 1u);
  int taken = 0;
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigwait(&set, &taken);
}

}  // namespace
}  // namespace knell::exporter
