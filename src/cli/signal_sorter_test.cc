// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/signal_sorter.h"

#include <gtest/gtest.h>

#include <string>

namespace knell::cli {
namespace {

using namespace std::chrono_literals;
using Target = SignalSorter::Target;

siginfo_t sent(int signal, pid_t by, int code = SI_USER) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = code;
  info.si_pid = by;
  return info;
}

class SignalSorterTest : public testing::Test {
 protected:
  // "15p 10g": the signal, and whether it was sent to the process or the group.
  std::string take(std::chrono::microseconds at) {
    std::string out;
    for (const auto& signal : sorter_.take(start_ + at)) {
      if (!out.empty()) out += ' ';
      out += std::to_string(signal.info.si_signo) + (signal.target == Target::kGroup ? "g" : "p");
    }
    return out;
  }
  void own(const siginfo_t& info, std::chrono::microseconds at) {
    sorter_.add_own(info, start_ + at);
  }
  void probe(const siginfo_t& info, std::chrono::microseconds at) {
    sorter_.add_probe(info, start_ + at);
  }
  SignalSorter::Time start_{};
  SignalSorter sorter_;
};

TEST_F(SignalSorterTest, ASignalThatBothReceivedWasSentToTheGroup) {
  probe(sent(SIGTERM, 7), 0us);
  own(sent(SIGTERM, 7), 1us);
  EXPECT_EQ(take(1us), "15g");
  EXPECT_EQ(sorter_.next(), std::nullopt);
}

TEST_F(SignalSorterTest, ASignalThatOneReceivedIsUndecidedAtFirst) {
  own(sent(SIGTERM, 7), 0us);
  EXPECT_EQ(take(19ms), "");
  EXPECT_EQ(sorter_.next(), start_ + SignalSorter::kSettle);
  EXPECT_EQ(take(20ms), "15p");
  EXPECT_EQ(take(90ms), "");
}

TEST_F(SignalSorterTest, SentToEachSeparatelyCountsAsSentToTheGroup) {
  own(sent(SIGTERM, 1), 0us);
  EXPECT_EQ(take(1us), "");
  probe(sent(SIGTERM, 1), 300us);
  EXPECT_EQ(take(300us), "15g");
  probe(sent(SIGHUP, 1), 400us);
  own(sent(SIGHUP, 1), 9ms);
  EXPECT_EQ(take(9ms), "1g");
}

TEST_F(SignalSorterTest, AnotherSenderOrSignalDoesNotMatch) {
  probe(sent(SIGTERM, 7), 0us);
  own(sent(SIGTERM, 8), 0us);
  own(sent(SIGINT, 7), 0us);
  own(sent(SIGTERM, 7, SI_TKILL), 0us);
  EXPECT_EQ(take(0us), "15p");  // tgkill(2) signals a thread, so it is decided at once
  EXPECT_EQ(take(20ms), "15p 2p");
}

TEST_F(SignalSorterTest, EachSignalOfTheProbeMatchesOnce) {
  probe(sent(SIGUSR1, 7), 0us);
  own(sent(SIGUSR1, 7), 0us);
  own(sent(SIGUSR1, 7), 1us);
  EXPECT_EQ(take(2us), "10g");
  EXPECT_EQ(take(21ms), "10p");
}

TEST_F(SignalSorterTest, ASignalThatOnlyTheProbeReceivedIsForgotten) {
  probe(sent(SIGUSR1, 7), 0us);
  EXPECT_EQ(take(20ms), "");
  own(sent(SIGUSR1, 7), 30ms);
  EXPECT_EQ(take(30ms), "");
  EXPECT_EQ(take(50ms), "10p");
}

TEST_F(SignalSorterTest, QueuedSignalsAreDecidedAtOnceAndInOrder) {
  own(sent(SIGRTMIN, 7, SI_QUEUE), 0us);
  own(sent(SIGRTMIN + 1, 7, SI_QUEUE), 0us);
  EXPECT_EQ(take(0us), std::to_string(SIGRTMIN) + "p " + std::to_string(SIGRTMIN + 1) + "p");
}

TEST_F(SignalSorterTest, SignalsOfTheKernelMayBeSentToTheGroup) {
  probe(sent(SIGINT, 0, SI_KERNEL), 0us);
  own(sent(SIGINT, 0, SI_KERNEL), 0us);
  own(sent(SIGHUP, 0, SI_KERNEL), 0us);  // sent to a session leader alone
  EXPECT_EQ(take(0us), "2g");
  EXPECT_EQ(take(20ms), "1p");
}

}  // namespace
}  // namespace knell::cli
