// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The kernel's count of listeners: knell leaves it unchanged, and repairs it when other programs
// changed it. These tests lower it, so no listener of the machine receives events: only in a guest
// of tests/vm.
#include <gtest/gtest.h>

#include "source/connector/connector.h"
#include "support/needs.h"
#include "system/collector.h"

namespace knell::test {
namespace {

using source::Connector;
using source::ConnectorOptions;
using source::Filtering;

// Changes the kernel's count. An invalid op makes newer kernels count the next request; older ones
// ignore its eight bytes and count every request.
class Count {
 public:
  Count() {
    auto fd = source::open_connector();
    KNELL_CHECK(fd.has_value());
    fd_ = *std::move(fd);
    auto probe = source::ConnectorProbe::open();
    KNELL_CHECK(probe.has_value());
    probe_.emplace(*std::move(probe));
  }
  void change(int by) {
    for (; by > 0; by--) request(KNELL_MCAST_LISTEN);
    for (; by < 0; by++) request(KNELL_MCAST_IGNORE);
  }
  bool is_silent() const { return !probe_->ask()->acked; }
  // Lowers or raises the count to 0.
  void zero() {
    for (int i = 0; is_silent() && i < 100; i++) change(1);
    for (int i = 0; !is_silent() && i < 100; i++) change(-1);
    KNELL_CHECK(is_silent());
  }
  bool is_zero() {
    if (!is_silent()) return false;
    change(1);
    const bool one = !is_silent();
    change(-1);
    return one;
  }

 private:
  void request(uint32_t op) {
    source::send_request(fd_.get(), source::kInvalidOp, KNELL_EVENT_COREDUMP);
    source::send_request(fd_.get(), op, std::nullopt);
  }
  UniqueFd fd_;
  std::optional<source::ConnectorProbe> probe_;
};

class ConnectorCount : public ::testing::TestWithParam<Filtering> {
 protected:
  void SetUp() override {
    KNELL_NEEDS(only_in_vm());
    KNELL_NEEDS(lacks_connector());
    count_.emplace();
    count_->zero();
  }
  void TearDown() override {
    if (count_) count_->zero();
  }
  std::unique_ptr<Connector> open(uint32_t mask) const {
    auto connector =
        Connector::create({.wanted = {mask}, .buffer_bytes = 1U << 20, .best = GetParam()});
    EXPECT_TRUE(connector.has_value()) << connector.error().message();
    return connector ? *std::move(connector) : nullptr;
  }
  static bool receives(Connector& connector, Collector& collector) {
    const pid_t child = exited_child(7);
    collector.drain(connector);
    return collector.exit_of(child) == 7 << 8;
  }

  std::optional<Count> count_;
};

INSTANTIATE_TEST_SUITE_P(By, ConnectorCount, kFilterings, filtering_name);

TEST_P(ConnectorCount, OneIgnoreForOneListener) {
  ASSERT_TRUE(count_->is_zero());
  auto connector = open(KNELL_EVENT_NONZERO_EXIT);
  ASSERT_TRUE(connector);
  EXPECT_FALSE(count_->is_silent());
  connector.reset();
  EXPECT_TRUE(count_->is_zero());
}

TEST_P(ConnectorCount, OneIgnoreAfterManyMasks) {
  auto connector = open(KNELL_EVENT_NONZERO_EXIT);
  ASSERT_TRUE(connector);
  ASSERT_TRUE(connector->set_request({KNELL_EVENT_ALL}).has_value());
  ASSERT_TRUE(connector->set_request({KNELL_EVENT_EXIT}).has_value());
  connector.reset();
  EXPECT_TRUE(count_->is_zero());
}

TEST_P(ConnectorCount, DiagnosisDoesNotChangeIt) {
  EXPECT_TRUE(source::diagnose(0).acked);
  EXPECT_TRUE(count_->is_zero());
  count_->change(-1);
  const source::Diagnosis found = source::diagnose(0);
  EXPECT_TRUE(found.count_below_one && !found.acked && found.present);
  count_->change(1);
  EXPECT_TRUE(count_->is_zero());
}

TEST_P(ConnectorCount, ForkedChildSendsNoIgnore) {
  auto connector = open(KNELL_EVENT_NONZERO_EXIT);
  ASSERT_TRUE(connector);
  in_child([&] {
    connector.reset();
    return std::string();
  });
  EXPECT_FALSE(count_->is_silent());
}

TEST_P(ConnectorCount, OpensWhenTheKernelSendsNothing) {
  count_->change(-5);
  auto connector = open(KNELL_EVENT_NONZERO_EXIT);
  ASSERT_TRUE(connector);
  EXPECT_EQ(connector->counters().repaired, 1U);
  Collector collector;
  EXPECT_TRUE(receives(*connector, collector));
  connector.reset();
  EXPECT_TRUE(count_->is_zero()) << "what the repair added replaces what was subtracted";
}

TEST_P(ConnectorCount, SilenceIsRepairedAndReported) {
  auto connector = open(KNELL_EVENT_NONZERO_EXIT);
  ASSERT_TRUE(connector);
  Collector collector;
  ASSERT_TRUE(receives(*connector, collector));
  ASSERT_TRUE(connector->check_health().has_value());
  const uint64_t healthy = system_clock().monotonic_ns();
  collector.raws.clear();

  count_->change(-4);
  EXPECT_FALSE(receives(*connector, collector));
  ASSERT_TRUE(connector->check_health().has_value());
  EXPECT_EQ(connector->counters().repaired, 1U);
  collector.drain(*connector);
  ASSERT_EQ(collector.raws.size(), 1U);
  const event::Raw& hole = collector.raws[0];
  EXPECT_EQ(hole.what, KNELL_EVENT_LOST);
  EXPECT_FALSE(hole.u.lost.counted || hole.u.lost.exact);
  EXPECT_EQ(hole.u.lost.types, KNELL_EVENT_NONZERO_EXIT);
  EXPECT_LE(hole.u.lost.from_ns, healthy);
  EXPECT_GE(hole.stamp_ns, healthy);
  EXPECT_TRUE(receives(*connector, collector));
  connector.reset();
  EXPECT_TRUE(count_->is_zero());
}

// Events that were queued before the connector stopped come before the LOST event.
TEST_P(ConnectorCount, HoleOfSilenceFollowsQueuedEvents) {
  auto connector = open(KNELL_EVENT_NONZERO_EXIT);
  ASSERT_TRUE(connector);
  exited_child(1);
  count_->change(-2);
  exited_child(2);
  ASSERT_TRUE(connector->check_health().has_value());
  exited_child(3);
  Collector collector;
  collector.drain(*connector);
  ASSERT_EQ(collector.raws.size(), 3U);
  EXPECT_EQ(collector.raws[0].u.exit.code, 1U << 8);
  EXPECT_EQ(collector.raws[1].what, KNELL_EVENT_LOST);
  EXPECT_EQ(collector.raws[2].u.exit.code, 3U << 8);
}

TEST_P(ConnectorCount, RepeatedSilenceEndsKernelFiltering) {
  auto connector = open(KNELL_EVENT_NONZERO_EXIT);
  ASSERT_TRUE(connector);
  Collector collector;
  for (int i = 0; i < 3; i++) {
    count_->change(-2);
    ASSERT_TRUE(connector->check_health().has_value());
  }
  EXPECT_EQ(connector->filtering(), Filtering::kNone);
  EXPECT_FALSE(connector->capabilities().kernel_filter);
  EXPECT_EQ(connector->counters().repaired, 3U);
  collector.drain(*connector);
  collector.raws.clear();
  exited_child(0);
  EXPECT_TRUE(receives(*connector, collector));
  EXPECT_EQ(collector.raws.size(), 1U) << "filtered all the same";
  ASSERT_TRUE(connector->set_request({KNELL_EVENT_EXIT}).has_value());
  const pid_t well = exited_child(0);
  collector.drain(*connector);
  EXPECT_EQ(collector.exit_of(well), 0);
  connector.reset();
  EXPECT_TRUE(count_->is_zero());
}

}  // namespace
}  // namespace knell::test
