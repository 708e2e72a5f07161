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
  for (const char* wrong :
       {"", "[]", "{\"selectors\":[1]}", R"({"selectors":[{"owner":"a","hosts":"*"}]})",
        R"({"selectors":[{"owner":"a","hosts":"*","events":"exot","expires_ms":1}]})",
        R"({"selectors":[{"owner":"","hosts":"*","events":"exit","expires_ms":1}]})"})
    EXPECT_FALSE(parse_interest(wrong)) << wrong;
  EXPECT_FALSE(parse_interest(std::string(kMostInterestBytes + 1, ' ')));
  EXPECT_FALSE(parse_interest(R"({"shards":65,"selectors":[]})"));
  EXPECT_EQ(parse_interest(R"({"selectors":[]})")->shards, 1u);
  FleetInterest many;
  for (size_t i = 0; i <= kMostSelectors; ++i)
    many.selectors.push_back(selector(std::to_string(i), kAll));
  EXPECT_FALSE(parse_interest(interest_json(many)));
  FleetInterest wide{1, {selector("a", kAll)}};
  wide.selectors[0].predicates["comm"].assign(kMostPredicates + 1, "a");
  EXPECT_FALSE(parse_interest(interest_json(wide)));
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
