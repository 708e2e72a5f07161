// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>
#include <thread>

namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr pid_t kNobody = 4'194'304;  // above all that are given out
constexpr timespec kNow{0, 0};

TEST(Errno, IsLeftAlone) {
  knell_event event{};
  knell_listener* k = nullptr;
  knell_options options = KNELL_OPTIONS_INIT;
  options.via = "pidfd";
  std::array<const knell_event*, 4> events{};
  const auto keeps = [](const char* what, const std::function<void()>& call) {
    errno = EXDEV;  // nothing here would set it
    call();
    EXPECT_EQ(errno, EXDEV) << what;
  };
  keeps("knell_wait", [&] { knell_wait(kNobody, &kNow, &event); });
  keeps("knell_wait", [&] { knell_wait(::getpid(), &kNow, &event); });
  keeps("knell_match", [] { knell_match(nullptr, "under", "none"); });
  keeps("knell_events_parse", [] {
    uint32_t mask = 0;
    knell_events_parse("exti", &mask);
  });
  keeps("knell_doctor",
        [] { knell_doctor([](const knell_finding*, void*) { return 0; }, nullptr); });
  keeps("knell_open", [&] { ASSERT_EQ(knell_open(&options, &k), 0) << knell_explain(); });
  keeps("knell_add", [&] { knell_add(k, kNobody, 0, 0); });
  keeps("knell_read", [&] { knell_read(k, events.data(), events.size()); });
  keeps("knell_close", [&] { knell_close(k); });
}

TEST(Wait, TellsAThreadFromAProcess) {
  knell_event event{};
  std::thread([&] {
    EXPECT_EQ(knell_wait(::gettid(), &kNow, &event), -ESRCH);
    EXPECT_EQ(knell_explain(), std::to_string(::gettid()) + " is a thread of process " +
                                   std::to_string(::getpid()) + ", and no process itself");
  }).join();
}

TEST(Wait, SaysWhatAPidIs) {
  knell_event event{};
  for (const pid_t pid : {0, -1}) {
    EXPECT_EQ(knell_wait(pid, &kNow, &event), -EINVAL);
    EXPECT_THAT(knell_explain(), HasSubstr("above 0, not " + std::to_string(pid)));
  }
  EXPECT_EQ(knell_wait(kNobody, &kNow, &event), -ESRCH);
  EXPECT_THAT(knell_explain(), StartsWith("no process "));
}

TEST(Add, TellsAThreadFromAProcessOverPidfds) {
  knell_listener* k = nullptr;
  knell_options options = KNELL_OPTIONS_INIT;
  options.via = "pidfd";
  ASSERT_EQ(knell_open(&options, &k), 0) << knell_explain();
  std::thread([&] {
    EXPECT_EQ(knell_add(k, ::gettid(), 0, 0), -ESRCH);
    EXPECT_THAT(knell_explain(), HasSubstr("is a thread of process"));
  }).join();
  knell_close(k);
}

}  // namespace
