// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Where the connector does not work, the error must say why. Each test enters such an environment
// in a forked child.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>

#include "source/connector/connector.h"
#include "support/needs.h"
#include "system/collector.h"

namespace knell::test {
namespace {

using source::Connector;
using ::testing::Test;

// The refusal as text, "CODE sentence"; "fine" if the connector could be opened.
std::string attempt() {
  const auto connector = Connector::create({.wanted = {KNELL_EVENT_NONZERO_EXIT}});
  if (connector) return "fine";
  return std::to_string(connector.error().code) + " " + connector.error().message();
}

// Whether the kernel has the filter, as found out while there is a listener.
bool kernel_filters() {
  const auto listening = Connector::create({.wanted = {KNELL_EVENT_COREDUMP}});
  return listening && (*listening)->filtering() == source::Filtering::kKernel;
}

bool says(const std::string& text, int code, const std::string& words) {
  return text.starts_with(std::to_string(code) + " ") && text.find(words) != std::string::npos;
}

class ConnectorRefusal : public Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_connector());
    KNELL_NEEDS(lacks_root());
  }
};

TEST_F(ConnectorRefusal, OtherNetworkNamespace) {
  const std::string text = in_child(
      [] { return ::unshare(CLONE_NEWNET) == 0 ? attempt() : std::string("cannot unshare"); });
  if (text == "cannot unshare") GTEST_SKIP() << "no network namespaces here";
  EXPECT_PRED3(says, text, EPROTONOSUPPORT, "initial network namespace only");
}

TEST_F(ConnectorRefusal, OtherPidNamespace) {
  const std::string text = in_child([] {
    return ::unshare(CLONE_NEWPID) == 0 ? in_child(attempt) : std::string("cannot unshare");
  });
  if (text == "cannot unshare") GTEST_SKIP() << "no pid namespaces here";
  EXPECT_PRED3(says, text, EPROTONOSUPPORT, "initial pid namespace only");
}

// There is a listener, so the socket receives all events unfiltered: that must not count as
// success.
TEST_F(ConnectorRefusal, OtherPidNamespaceWhileTheHostListens) {
  const auto host = Connector::create({.wanted = {KNELL_EVENT_ALL}});
  ASSERT_TRUE(host.has_value());
  const std::string text = in_child([] {
    return ::unshare(CLONE_NEWPID) == 0 ? in_child(attempt) : std::string("cannot unshare");
  });
  if (text == "cannot unshare") GTEST_SKIP() << "no pid namespaces here";
  EXPECT_PRED3(says, text, EPROTONOSUPPORT, "initial pid namespace only");
}

TEST_F(ConnectorRefusal, OtherUserNamespace) {
  const std::string text = in_child(
      [] { return ::unshare(CLONE_NEWUSER) == 0 ? attempt() : std::string("cannot unshare"); });
  if (text == "cannot unshare") GTEST_SKIP() << "no user namespaces here";
  EXPECT_PRED3(says, text, EPROTONOSUPPORT, "initial user namespace only");
}

TEST_F(ConnectorRefusal, UnprivilegedOnOldKernels) {
  if (kernel_filters()) GTEST_SKIP() << "this kernel lets every user listen";
  const std::string text =
      in_child([] { return become_nobody() ? attempt() : std::string("cannot become nobody"); });
  EXPECT_PRED3(says, text, EPERM, "only root listen to process events");
}

TEST_F(ConnectorRefusal, NoDescriptors) {
  const std::string text = in_child([] {
    const rlimit few{3, 3};
    return ::setrlimit(RLIMIT_NOFILE, &few) == 0 ? attempt() : std::string("cannot limit");
  });
  EXPECT_PRED3(says, text, EMFILE, "ulimit -n");
}

TEST_F(ConnectorRefusal, UserNobodyMayListenFrom66On) {
  if (!kernel_filters()) GTEST_SKIP() << "this kernel lets only root listen";
  const std::string text = in_child([]() -> std::string {
    if (!become_nobody()) return "cannot become nobody";
    const auto connector = Connector::create({.wanted = {KNELL_EVENT_NONZERO_EXIT}});
    if (!connector) return connector.error().message();
    if ((*connector)->buffer().forced) return "the buffer was forced";
    if ((*connector)->filtering() != source::Filtering::kKernel) return "no kernel filter";
    Collector collector;
    const pid_t child = exited_child(9);
    collector.read_until(**connector, [&] { return collector.exit_of(child) >= 0; });
    return std::to_string(collector.exit_of(child));
  });
  EXPECT_EQ(text, std::to_string(9 << 8));
}

// A listener that enters another namespace continues to receive events, so the probe, which fails
// there, must not count as a failure. The listener is opened in this namespace, and destroyed here
// too: from the other namespace the kernel would ignore the request to unsubscribe.
TEST_F(ConnectorRefusal, SubscriptionOutlivesAChangeOfNamespace) {
  const auto opened = Connector::create({.wanted = {KNELL_EVENT_NONZERO_EXIT}});
  ASSERT_TRUE(opened.has_value()) << opened.error().message();
  Connector& connector = **opened;
  const std::string text = in_child([&]() -> std::string {
    if (::unshare(CLONE_NEWUSER) != 0) return "cannot unshare";
    if (const auto health = connector.check_health(); !health) return health.error().message();
    if (connector.counters().repaired != 0) return "repaired";
    Collector collector;
    const pid_t child = exited_child(3);
    collector.read_until(connector, [&] { return collector.exit_of(child) >= 0; });
    return std::to_string(collector.exit_of(child));
  });
  if (text == "cannot unshare") GTEST_SKIP() << "no user namespaces here";
  EXPECT_EQ(text, std::to_string(3 << 8));
}

TEST_F(ConnectorRefusal, DiagnosisHere) {
  const source::Diagnosis found = source::diagnose(1U << 20);
  EXPECT_TRUE(found.present);
  EXPECT_TRUE(found.acked) << found.obstacle.reason;
  EXPECT_FALSE(found.count_below_one);
  EXPECT_EQ(found.kernel_filter, kernel_filters());
  EXPECT_EQ(found.initial_net, true);
  EXPECT_TRUE(found.initial_pid && found.initial_user);
  EXPECT_GE(found.buffer.bytes, 2U << 20);
  EXPECT_TRUE(found.buffer.forced && !found.buffer.clamped);
  EXPECT_EQ(found.room_events, found.buffer.bytes / 832);
  EXPECT_EQ(found.obstacle.code, 0);
}

TEST_F(ConnectorRefusal, DiagnosisElsewhere) {
  const std::string text = in_child([]() -> std::string {
    if (::unshare(CLONE_NEWNET) != 0) return "cannot unshare";
    const source::Diagnosis found = source::diagnose(0);
    if (found.acked || found.count_below_one || found.initial_net != false) return "wrong";
    return found.obstacle.reason + "|" + found.obstacle.advice;
  });
  if (text == "cannot unshare") GTEST_SKIP() << "no network namespaces here";
  EXPECT_NE(text.find("initial network namespace only"), std::string::npos) << text;
  EXPECT_NE(text.find("--network=host"), std::string::npos) << text;
}

}  // namespace
}  // namespace knell::test
