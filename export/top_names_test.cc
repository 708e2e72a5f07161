// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/top_names.h"

#include <gtest/gtest.h>

#include <string>

namespace knell::exporter {
namespace {

constexpr TopNames::Time kStart{};

TEST(TopNames, TheFirstNamesTakeTheFreePlaces) {
  TopNames names(2, {}, kStart);
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(names.count(name, kStart), std::nullopt);
  EXPECT_EQ(names.label("a"), "a");
  EXPECT_EQ(names.label("b"), "b");
  EXPECT_EQ(names.label("c"), TopNames::kOther);
}

TEST(TopNames, ConfiguredNamesNeedNoPlaceAndAreNeverReplaced) {
  TopNames names(1, {"wanted"}, kStart);
  names.count("first", kStart);
  EXPECT_EQ(names.label("wanted"), "wanted");
  for (int i = 0; i < 100; ++i) names.count("frequent", kStart);
  EXPECT_EQ(names.label("wanted"), "wanted");
  EXPECT_EQ(names.label("first"), TopNames::kOther);
  EXPECT_EQ(names.label("frequent"), "frequent");
}

TEST(TopNames, AFrequentNameReplacesTheRarest) {
  TopNames names(2, {}, kStart);
  for (int i = 0; i < 50; ++i) names.count("often", kStart);
  names.count("once", kStart);
  std::optional<std::string> gone;
  for (int i = 0; i < 20 && !gone; ++i) gone = names.count("new", kStart);
  EXPECT_EQ(gone, "once");
  EXPECT_EQ(names.label("often"), "often");
  EXPECT_EQ(names.label("new"), "new");
  EXPECT_EQ(names.replaced(), 1u);
}

TEST(TopNames, NamesThatAppearOnceReplaceNone) {
  TopNames names(10, {}, kStart);
  for (int i = 0; i < 10000; ++i)
    EXPECT_EQ(names.count("run-" + std::to_string(i) + ".scope", kStart), std::nullopt);
  EXPECT_EQ(names.replaced(), 0u);
}

TEST(TopNames, AFrequentNameIsFoundAmongNamesThatAppearOnce) {
  TopNames names(10, {}, kStart);
  for (int i = 0; i < 10000; ++i) {
    names.count("run-" + std::to_string(i) + ".scope", kStart);
    if (i % 20 == 19) names.count("crashing.service", kStart);
  }
  EXPECT_EQ(names.label("crashing.service"), "crashing.service");
}

TEST(TopNames, ReplacementsAreBoundedUntilTheFrequenciesAreHalved) {
  constexpr size_t kPlaces = 5;
  TopNames names(kPlaces, {}, kStart);
  const auto storm = [&](TopNames::Time now, int from) {
    uint64_t times = 16;  // each name is more frequent than all before it
    for (int i = from; i < from + 20; ++i, times += times / 2) {
      for (uint64_t n = 0; n < times; ++n) names.count("unit-" + std::to_string(i), now);
    }
  };
  storm(kStart, 0);
  EXPECT_EQ(names.replaced(), kPlaces);
  storm(kStart + TopNames::kHalfLife, 100);
  EXPECT_EQ(names.replaced(), 2 * kPlaces);
}

TEST(TopNames, ANameOfThePastMakesWay) {
  TopNames names(1, {}, kStart);
  for (int i = 0; i < 100; ++i) names.count("past", kStart);
  for (int i = 0; i < 30; ++i) names.count("new", kStart);
  EXPECT_EQ(names.label("new"), TopNames::kOther);
  TopNames::Time now = kStart;
  for (int hour = 0; hour < 5; ++hour) {
    now += TopNames::kHalfLife;
    for (int i = 0; i < 30; ++i) names.count("new", now);
  }
  EXPECT_EQ(names.label("new"), "new");
  EXPECT_EQ(names.label("past"), TopNames::kOther);
}

TEST(TopNames, LongNamesAreCut) {
  TopNames names(1, {}, kStart);
  const std::string name(1000, 'x');
  names.count(name, kStart);
  EXPECT_EQ(names.label(name), name.substr(0, TopNames::kMostBytes));
}

}  // namespace
}  // namespace knell::exporter
