// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/signal_names.h"

#include <gtest/gtest.h>

#include <csignal>
#include <string>

namespace knell {
namespace {

TEST(SignalNames, Names) {
  EXPECT_STREQ(signal_name(SIGSEGV), "SIGSEGV");
  EXPECT_STREQ(signal_name(SIGKILL), "SIGKILL");
  EXPECT_STREQ(signal_name(32), "SIG32");
  EXPECT_STREQ(signal_name(34), "SIGRTMIN");
  EXPECT_STREQ(signal_name(37), "SIGRTMIN+3");
  EXPECT_STREQ(signal_name(63), "SIGRTMIN+29");
  EXPECT_STREQ(signal_name(64), "SIGRTMAX");
  EXPECT_STREQ(signal_name(127), "SIG127");
  for (const int number : {-1, 0, 128, 1 << 30}) EXPECT_EQ(signal_name(number), nullptr);
}

TEST(SignalNames, ParsesEveryName) {
  for (int number = 1; number < 128; number++) {
    EXPECT_EQ(parse_signal(signal_name(number)).value(), number);
    EXPECT_EQ(parse_signal(std::to_string(number)).value(), number);
  }
}

TEST(SignalNames, ParsesOtherSpellings) {
  EXPECT_EQ(parse_signal("SEGV").value(), SIGSEGV);
  EXPECT_EQ(parse_signal("sigsegv").value(), SIGSEGV);
  EXPECT_EQ(parse_signal("Kill").value(), SIGKILL);
  EXPECT_EQ(parse_signal("IOT").value(), SIGABRT);
  EXPECT_EQ(parse_signal("rtmin+3").value(), 37);
  EXPECT_EQ(parse_signal("SIGRTMAX-1").value(), 63);
}

TEST(SignalNames, RefusesWithTheNearestName) {
  EXPECT_EQ(parse_signal("SIGSEVG").error().context,
            "'SIGSEVG' is not a signal; did you mean 'SIGSEGV'?");
  EXPECT_EQ(parse_signal("trm").error().context, "'trm' is not a signal; did you mean 'SIGTERM'?");
  for (const char* text : {"", "0", "128", "-9", "SIG", "SIG0", "RTMIN+31", "RTMIN-1", "RTMAX-31",
                           "RTMIN+", "9x", "SIGRTMIN+99999999999", "averyverylongnameindeed"}) {
    EXPECT_FALSE(parse_signal(text)) << text;
  }
}

TEST(SignalNames, LooksLikeSignal) {
  for (const char* text : {"SIGFOO", "sigsegv", "segv", "RTMIN+3"}) {
    EXPECT_TRUE(looks_like_signal(text)) << text;
  }
  for (const char* text : {"core", "oom", "9", "unknown", ""}) {
    EXPECT_FALSE(looks_like_signal(text)) << text;
  }
}

}  // namespace
}  // namespace knell
