// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/interest.h"

#include <gtest/gtest.h>
#include <knell/knell.h>

namespace knell::fleet {
namespace {

constexpr uint32_t kAll = KNELL_EVENT_ALL;

Selector selector(const std::string& owner, uint32_t events, const std::string& hosts = "*",
                  int64_t expires_ms = 1000) {
  return {owner, hosts, events, {}, expires_ms};
}

TEST(FleetInterest, IsWrittenAndRead) {
  FleetInterest interest{7, {selector("a", KNELL_EVENT_NONZERO_EXIT, "db*"), selector("b", kAll)}};
  interest.selectors[0].predicates = {{"comm", {"post*", "\"x"}}, {"ended", {"oom"}}};
  interest.shards = 20;
  const auto read = parse_interest(interest_json(interest));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->revision, 7u);
  EXPECT_EQ(read->selectors, interest.selectors);
  EXPECT_EQ(read->shards, 20u);
  EXPECT_TRUE(parse_interest(interest_json({}))->selectors.empty());
}

TEST(FleetInterest, RefusesWhatIsNotBounded) {
  EXPECT_FALSE(parse_interest("[]"));
  EXPECT_FALSE(parse_interest(std::string(kMostInterestBytes + 1, ' ')));
  EXPECT_FALSE(parse_interest(R"({"shards":65,"selectors":[]})"));
  EXPECT_EQ(parse_interest(R"({"selectors":[]})")->shards, 1u);
  FleetInterest many;
  for (size_t i = 0; i <= kMostSelectors; ++i)
    many.selectors.push_back(selector(std::to_string(i), kAll));
  EXPECT_FALSE(parse_interest(interest_json(many)));
}

// One invalid selector must not remove those of the other readers, or the number of shards.
TEST(FleetInterest, SkipsInvalidSelectorsOnly) {
  const std::string good = selector_json(selector("good", KNELL_EVENT_EXIT));
  Selector wide = selector("wide", kAll), long_value = selector("long", kAll);
  wide.predicates["comm"].assign(kMostPredicates + 1, "a");
  long_value.predicates["comm"].emplace_back(kMostTextBytes + 1, 'a');
  for (const std::string& wrong :
       {std::string("1"), selector_json(wide), selector_json(long_value),
        std::string(R"({"owner":"a","hosts":"*"})"),
        std::string(R"({"owner":"a","hosts":"*","events":"exot","expires_ms":1})"),
        std::string(R"({"owner":"","hosts":"*","events":"exit","expires_ms":1})")}) {
    const auto read = parse_interest(R"({"shards":3,"selectors":[)" + wrong + "," + good + "]}");
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->shards, 3U) << wrong;
    ASSERT_EQ(read->selectors.size(), 1U) << wrong;
    EXPECT_EQ(read->selectors[0].owner, "good");
    std::vector<RefusedSelector> refused;
    EXPECT_EQ(wanted_of(*read, "h", 0, kAll, &refused).events, uint32_t{KNELL_EVENT_EXIT});
    EXPECT_EQ(refused.size(), 1U) << wrong;
  }
}

TEST(FleetInterest, HostsReadEverySelectorThatCanBePut) {
  FleetInterest interest;
  Selector widest = selector("a", kAll);
  widest.predicates["comm"].assign(kMostPredicates, std::string(kMostTextBytes, 'a'));
  ASSERT_TRUE(put_selector(interest, widest, 0));
  const auto read = parse_interest(interest_json(interest));
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->selectors, interest.selectors);

  Selector above = selector("b", kAll);
  above.predicates["comm"].assign(kMostPredicates + 1, "a");
  const auto many = put_selector(interest, above, 0);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, EINVAL);
  above.predicates["comm"].assign(1, std::string(kMostTextBytes + 1, 'a'));
  EXPECT_FALSE(put_selector(interest, above, 0));

  // The whole interest has a limit too. Selectors whose lease has ended make room.
  Result<void> put;
  for (int i = 0; put; ++i) {
    widest.owner = "reader " + std::to_string(i);
    put = put_selector(interest, widest, 0);
    ASSERT_TRUE(parse_interest(interest_json(interest)));
  }
  EXPECT_EQ(put.error().code, E2BIG);
  widest.expires_ms = 2000;
  EXPECT_TRUE(put_selector(interest, widest, 1000));
  EXPECT_EQ(interest.selectors.size(), 1U);
}

TEST(FleetInterest, ADeletedKeyIsTheDefault) {
  const auto read = parse_interest("");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->shards, 1U);
  EXPECT_TRUE(read->selectors.empty());
}

TEST(FleetInterest, ASelectorReplacesThatOfItsOwner) {
  FleetInterest interest;
  ASSERT_TRUE(put_selector(interest, selector("a", KNELL_EVENT_EXIT, "*", 1000), 0));
  ASSERT_TRUE(put_selector(interest, selector("b", KNELL_EVENT_EXEC, "*", 500), 0));
  ASSERT_TRUE(put_selector(interest, selector("a", KNELL_EVENT_FORK, "*", 2000), 400));
  ASSERT_EQ(interest.selectors.size(), 2u);
  EXPECT_EQ(interest.selectors[1].events, uint32_t{KNELL_EVENT_FORK});
  EXPECT_EQ(next_expiry_ms(interest, 400), 500);
  EXPECT_EQ(next_expiry_ms(interest, 500), 2000);
  // b did not renew its lease; an outage may have prevented it for up to a day.
  ASSERT_TRUE(put_selector(interest, selector("c", KNELL_EVENT_SID, "*", 9000), 500));
  EXPECT_EQ(interest.selectors.size(), 3u);
  remove_selector(interest, "a", 500);
  remove_selector(interest, "c", 500);
  EXPECT_FALSE(next_expiry_ms(interest, 500));
  remove_selector(interest, "c", 500 + kKeepEnded.count());
  EXPECT_TRUE(interest.selectors.empty());
}

TEST(FleetInterest, ALeaseWithoutAnEndFitsInNanoseconds) {
  const auto read =
      parse_interest(interest_json({1, {selector("a", kAll, "*", INT64_MAX)}, 1, {}}));
  ASSERT_TRUE(read) << read.error().message();
  const auto end_ms = next_expiry_ms(*read, 0);
  ASSERT_TRUE(end_ms);
  EXPECT_GT(*end_ms, 4'000'000'000'000);  // after the year 2090
  EXPECT_LT(*end_ms, INT64_MAX / 1'000'000);
  // The time that a forwarder waits for the end of the lease.
  int64_t wait_ns = 0;
  EXPECT_FALSE(__builtin_mul_overflow(*end_ms + 2000, 1'000'000, &wait_ns));
}

TEST(FleetInterest, IsBounded) {
  FleetInterest interest;
  for (size_t i = 0; i < kMostSelectors; ++i)
    ASSERT_TRUE(put_selector(interest, selector(std::to_string(i), kAll), 0));
  EXPECT_FALSE(put_selector(interest, selector("one more", kAll), 0));
  EXPECT_TRUE(put_selector(interest, selector("5", kAll), 0));  // replaces its own selector
  // the leases of the others have ended
  EXPECT_TRUE(put_selector(interest, selector("one more", kAll), 1000));
  EXPECT_EQ(interest.selectors.size(), 1u);
}

TEST(FleetInterest, NobodyAsksThenNothingIsSent) {
  EXPECT_EQ(wanted_of({}, "db1", 0, kAll), Wanted{});
  const FleetInterest other{1, {selector("a", kAll, "web*"), selector("b", kAll, "db1", 10)}};
  EXPECT_EQ(wanted_of(other, "db1", 10, kAll), Wanted{});  // the lease has ended
  EXPECT_NE(wanted_of(other, "db1", 9, kAll).events, 0u);
}

TEST(FleetInterest, JoinsMasks) {
  const FleetInterest interest{
      1, {selector("a", KNELL_EVENT_NONZERO_EXIT, "db*"), selector("b", KNELL_EVENT_EXEC)}};
  EXPECT_EQ(wanted_of(interest, "db1", 0, kAll).events,
            uint32_t{KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_EXEC});
  EXPECT_EQ(wanted_of(interest, "web1", 0, kAll).events, uint32_t{KNELL_EVENT_EXEC});
}

TEST(FleetInterest, TheHostCapsWhatIsSent) {
  EXPECT_EQ(permitted(kAll, KNELL_EVENT_NONZERO_EXIT), uint32_t{KNELL_EVENT_NONZERO_EXIT});
  EXPECT_EQ(permitted(KNELL_EVENT_EXIT, KNELL_EVENT_NONZERO_EXIT),
            uint32_t{KNELL_EVENT_NONZERO_EXIT});
  EXPECT_EQ(permitted(KNELL_EVENT_NONZERO_EXIT, KNELL_EVENT_EXIT),
            uint32_t{KNELL_EVENT_NONZERO_EXIT});
  EXPECT_EQ(permitted(KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT, kAll),
            uint32_t{KNELL_EVENT_EXIT});
  EXPECT_EQ(permitted(KNELL_EVENT_EXEC, KNELL_EVENT_NONZERO_EXIT), 0u);
  EXPECT_EQ(permitted(KNELL_EVENT_EXEC | KNELL_EVENT_FORK, KNELL_EVENT_EXEC | KNELL_EVENT_EXIT),
            uint32_t{KNELL_EVENT_EXEC});
}

TEST(FleetInterest, JoinedPredicatesPassWhatEachPasses) {
  FleetInterest interest{1, {selector("a", kAll), selector("b", kAll)}};
  auto& a = interest.selectors[0].predicates;
  auto& b = interest.selectors[1].predicates;
  const auto joined = [&] { return wanted_of(interest, "h", 0, kAll).predicates; };
  a = {{"comm", {"x"}}};
  EXPECT_TRUE(joined().empty());  // b requests every comm
  b = {{"comm", {"y", "x"}}, {"unit", {"cron.service"}}};
  EXPECT_EQ(joined()["comm"], (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(joined().size(), 1u);
  a = b = {{"comm", {"!x"}}};
  EXPECT_EQ(joined()["comm"], (std::vector<std::string>{"!x"}));
  b = {{"comm", {"x"}}};
  EXPECT_TRUE(joined().empty());
  a = {{"longer", {"1s"}}};
  b = {{"longer", {"2s"}}};
  EXPECT_TRUE(joined().empty());
}

// Otherwise the events that a predicate selects show what the details leave out.
TEST(FleetInterest, RefusesPredicatesThatNeedMoreDetails) {
  FleetInterest interest{1, {selector("a", kAll)}};
  const auto refused = [&](const std::string& key, const std::string& value, uint32_t details) {
    interest.selectors[0].predicates = {{key, {value}}};
    std::vector<RefusedSelector> out;
    const Wanted wanted = wanted_of(interest, "h", 0, kAll, &out, details);
    EXPECT_EQ(wanted.events == 0, !out.empty());
    return out.empty() ? "" : out[0].owner + ": " + out[0].reason;
  };
  for (const auto& [key, value] : {std::pair<std::string, std::string>("unit", "cron"),
                                   {"comm", "!sh"},
                                   {"uid", "0"},
                                   {"cgroup", "/a"},
                                   {"container", "3f2a9c"},
                                   {"tty", "pts/3"},
                                   {"ended", "2,oom"}}) {
    EXPECT_EQ(refused(key, value, KNELL_DETAILS_FULL), "");
    EXPECT_EQ(refused(key, value, KNELL_DETAILS_NAMES), "");
    const std::string why = refused(key, value, KNELL_DETAILS_STATUS);
    EXPECT_TRUE(why.starts_with("a: " + key)) << why;
    EXPECT_TRUE(why.contains("--details status")) << why;
  }
  EXPECT_EQ(refused("exe", "/bin/sh", KNELL_DETAILS_FULL), "");
  EXPECT_NE(refused("exe", "/bin/sh", KNELL_DETAILS_NAMES), "");
  for (const auto& [key, value] : {std::pair<std::string, std::string>("ended", "core,SIGKILL"),
                                   {"longer", "1s"},
                                   {"shorter", "1s"}})
    EXPECT_EQ(refused(key, value, KNELL_DETAILS_STATUS), "") << key;
}

TEST(FleetInterest, IgnoresInvalidSelectorsOnly) {
  FleetInterest interest{1, {selector("bad", kAll), selector("good", KNELL_EVENT_EXEC)}};
  for (const auto& [key, value] : {std::pair<std::string, std::string>("comn", "x"),
                                   {"ended", "sometimes"},
                                   {"user", "root"},
                                   {"pid", "1"},
                                   {"under", "1"}}) {
    interest.selectors[0].predicates = {{key, {value}}};
    std::vector<RefusedSelector> refused;
    EXPECT_EQ(wanted_of(interest, "h", 0, kAll, &refused).events, uint32_t{KNELL_EVENT_EXEC});
    ASSERT_EQ(refused.size(), 1u) << key;
    EXPECT_EQ(refused[0].owner, "bad");
    EXPECT_FALSE(refused[0].reason.empty());
  }
}

}  // namespace
}  // namespace knell::fleet
