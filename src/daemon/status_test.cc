// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <unistd.h>

namespace knell::daemon {
namespace {

using testing::HasSubstr;

TEST(Status, OfAnEmptyStatusIsACompleteObject) {
  const std::string json = to_json(Status());
  EXPECT_EQ(json.front(), '{');
  EXPECT_EQ(json.back(), '}');
  EXPECT_THAT(json, HasSubstr(R"("sources":[],"drains":0)"));
  EXPECT_THAT(json, HasSubstr(R"("events_per_second":null)"));
  EXPECT_THAT(json, HasSubstr(R"("withheld":{"unknown_uid":0,"unknown_namespace":0})"));
}

TEST(Status, UnknownValuesAreNull) {
  Status status;
  Status::Source source;
  source.name = "connector";
  source.types = KNELL_EVENT_UID;
  source.lost = std::nullopt;
  source.lost_by_types = {{KNELL_EVENT_FORK | KNELL_EVENT_EXEC, 3}};
  source.recovered = 2;
  status.sources.push_back(source);
  status.exits.push_back({"", "exit 1", "", "", 3});
  status.exits.push_back({"", "exit 2", "perl", "f00", 1});
  const std::string json = to_json(status);
  EXPECT_THAT(json, HasSubstr(R"({"name":"connector","used":false,"why":null,"types":"uid",)"));
  EXPECT_THAT(json, HasSubstr(R"("lost":null,"lost_by_types":[{"types":"fork,exec","lost":3}],)"
                              R"("recovered":2,"repairs":0})"));
  EXPECT_THAT(json, HasSubstr(R"({"unit":null,"ended":"exit 1","count":3})"));
  EXPECT_THAT(
      json,
      HasSubstr(R"({"unit":null,"ended":"exit 2","comm":"perl","container":"f00","count":1})"));
}

TEST(Status, AListenerHasAllFields) {
  Status status;
  Status::Listener listener;
  listener.id = 7;
  listener.pid = 42;
  listener.uid = 1000;
  listener.comm = "a\"b\xff";
  listener.protocol = Status::Protocol::kCompat;
  listener.scope = "uid 1000";
  listener.mask = KNELL_EVENT_NONZERO_EXIT;
  listener.level = "raw";
  listener.details = "status";
  listener.latency_ns = 1'500'000;
  listener.since_ns = 1'000'000'000;
  status.listeners.push_back(listener);
  EXPECT_THAT(
      to_json(status),
      HasSubstr(
          R"("listeners":[{"id":7,"pid":42,"uid":1000,"user":null,"comm":"a\"b\\xff","protocol":"compat",)"
          R"("scope":"uid 1000","mask":"nonzero-exit","predicates":null,"level":"raw","details":"status",)"
          R"("latency_ms":1.500,"delivered":0,"lost":0,"queued":0,"queued_bytes":0,)"
          R"("since":"1970-01-01T00:00:01Z"}],"users":[])"));
}

TEST(Status, TheJournalHasAllFieldsOrIsNull) {
  Status status;
  EXPECT_THAT(to_json(status), HasSubstr(R"("journal":null,)"));
  status.journal = Status::Journal{.path = "/j.db",
                                   .state = "failing",
                                   .problem = "full",
                                   .id = "",
                                   .mask = KNELL_EVENT_NONZERO_EXIT,
                                   .written = 5,
                                   .lost_queue = 6,
                                   .lost_disk = 7,
                                   .commits = 2,
                                   .bytes = 4096,
                                   .queued_bytes = 9,
                                   .oldest_seq = 1,
                                   .next_seq = 6,
                                   .oldest_ns = 1'000'000'000};
  EXPECT_THAT(
      to_json(status),
      HasSubstr(
          R"("journal":{"path":"/j.db","state":"failing","problem":"full","id":null,"mask":"nonzero-exit",)"
          R"("written":5,"lost_queue":6,"lost_disk":7,"commits":2,"bytes":4096,"queued_bytes":9,)"
          R"("oldest_seq":1,"next_seq":6,"oldest":"1970-01-01T00:00:01Z"})"));
}

TEST(Status, TheLastRestartHasAllFieldsOrIsNull) {
  Status status;
  EXPECT_THAT(to_json(status), HasSubstr(R"("restart":null,)"));
  status.restart = Status::Restart{.lost = true, .clients = 3, .clients_lost = 1, .text = "why"};
  EXPECT_THAT(to_json(status),
              HasSubstr(R"("restart":{"lost":true,"clients":3,"clients_lost":1,"text":"why"},)"));
}

TEST(Status, LongPredicatesAreCut) {
  Status status;
  Status::Listener listener;
  listener.predicates = std::string(256, 'p');
  status.listeners.push_back(listener);
  EXPECT_THAT(to_json(status), HasSubstr("\"" + listener.predicates + "\","));
  status.listeners[0].predicates += "ppp";
  EXPECT_THAT(to_json(status), HasSubstr("\"" + listener.predicates + "...\","));
}

TEST(Status, DescribesThisProcess) {
  Status status;
  describe_process(status);
  EXPECT_EQ(status.pid, ::getpid());
  EXPECT_EQ(status.version, KNELL_VERSION);
  EXPECT_THAT(status.kernel, HasSubstr("Linux "));
  EXPECT_GT(status.memory.rss_bytes, 100'000u);
}

}  // namespace
}  // namespace knell::daemon
