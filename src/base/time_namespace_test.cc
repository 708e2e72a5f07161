// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/time_namespace.h"

#include <gtest/gtest.h>

namespace knell {
namespace {

constexpr int64_t kDayNs = 86'400'000'000'000;

TEST(TimeNamespace, ParsesTheOffsets) {
  EXPECT_EQ(parse_clock_offsets("monotonic           86400         0\n"
                                "boottime            -3600 500000000\n"),
            (ClockOffsets{kDayNs, -3600'000'000'000 + 500'000'000, true}));
  EXPECT_EQ(parse_clock_offsets("monotonic 0 0\n"), std::nullopt);
  EXPECT_EQ(parse_clock_offsets("monotonic 0 0\nboottime 1\n"), std::nullopt);
  EXPECT_EQ(parse_clock_offsets("monotonic x 0\nboottime 1 0\n"), std::nullopt);
  EXPECT_EQ(parse_clock_offsets(""), std::nullopt);
}

TEST(TimeNamespace, ConvertsStartsToTheKernels) {
  EXPECT_EQ(kernel_start(8'640'123, {kDayNs, kDayNs, true}), 123U);
  EXPECT_EQ(kernel_start(123, {-kDayNs, -kDayNs, true}), 8'640'123U);
  EXPECT_EQ(kernel_start(123, {}), 123U);
  EXPECT_EQ(kernel_start(123, {0, 4'000'000, true}), 123U);
  EXPECT_EQ(kernel_start(123, {0, 6'000'000, true}), 122U);
  EXPECT_TRUE(starts_are_exact({0, kDayNs, true}));
  EXPECT_FALSE(starts_are_exact({0, kDayNs + 1, true}));
  EXPECT_FALSE(starts_are_exact({0, 0, false}));
}

TEST(TimeNamespace, ConvertsTimersToTheNamespace) {
  const ClockOffsets ahead{kDayNs, 0, true}, behind{-kDayNs, 0, true};
  EXPECT_EQ(timer_time(2'500'000'000, ahead).tv_sec, 86'402);
  EXPECT_EQ(timer_time(2'500'000'000, ahead).tv_nsec, 500'000'000);
  EXPECT_EQ(timer_time(0, ahead).tv_sec, 0);
  EXPECT_EQ(timer_time(0, ahead).tv_nsec, 0);
  // A time in the past stays a timer: 0 would disarm it.
  EXPECT_EQ(timer_time(1, behind).tv_sec, 0);
  EXPECT_EQ(timer_time(1, behind).tv_nsec, 1);
}

}  // namespace
}  // namespace knell
