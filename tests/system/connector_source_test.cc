// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The connector source against the live kernel: which events come, which are lost, which senders
// are accepted.
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <utility>
#include <vector>

#include "event/cn_message.h"
#include "source/connector/connector.h"
#include "support/needs.h"
#include "system/collector.h"

namespace knell::test {
namespace {

using source::Connector;
using source::ConnectorOptions;
using source::Filtering;

std::unique_ptr<Connector> open(const ConnectorOptions& options) {
  auto connector = Connector::create(options);
  EXPECT_TRUE(connector.has_value()) << connector.error().message();
  return connector ? *std::move(connector) : nullptr;
}

// Each event of type COMM has a name of its own.
void rename_self(int count) {
  char before[16];
  ::prctl(PR_GET_NAME, before);
  for (int i = 0; i < count; i++) ::prctl(PR_SET_NAME, ("burst " + std::to_string(i)).c_str());
  ::prctl(PR_SET_NAME, before);
}

class ConnectorSource : public ::testing::TestWithParam<Filtering> {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_connector());
    if (GetParam() == Filtering::kKernel) KNELL_NEEDS(lacks_kernel_filter_listened_to());
  }
  // The kernel acks only while there is a listener.
  static std::string lacks_kernel_filter_listened_to() {
    const auto listening = Connector::create({.wanted = {KNELL_EVENT_COREDUMP}});
    return lacks_kernel_filter();
  }
  ConnectorOptions asking(uint32_t mask) const {
    return {.wanted = {mask}, .buffer_bytes = 8U << 20, .best = GetParam()};
  }
};

INSTANTIATE_TEST_SUITE_P(By, ConnectorSource, kFilterings, filtering_name);

TEST_P(ConnectorSource, ReportsFailuresAndNothingElse) {
  const auto connector = open(asking(KNELL_EVENT_NONZERO_EXIT));
  ASSERT_TRUE(connector);
  EXPECT_EQ(connector->filtering(), GetParam());
  EXPECT_EQ(connector->capabilities().kernel_filter, GetParam() == Filtering::kKernel);
  Collector collector;
  const pid_t well = exited_child(0);
  const pid_t failed = exited_child(7);
  ASSERT_TRUE(collector.read_until(*connector, [&] { return collector.exit_of(failed) >= 0; }));
  EXPECT_EQ(collector.exit_of(failed), 7 << 8);
  EXPECT_EQ(collector.exit_of(well), -1);
  for (const event::Raw& raw : collector.raws) {
    EXPECT_EQ(raw.what, KNELL_EVENT_EXIT);
    EXPECT_NE(raw.u.exit.code, 0U);
  }
}

constexpr uint32_t kRareStatus = 0x5b;  // an exit status that no other process has

TEST_P(ConnectorSource, MaskChangedLiveLosesNothing) {
  const auto connector = open(asking(KNELL_EVENT_NONZERO_EXIT));
  ASSERT_TRUE(connector);
  const int count = repetitions(3000);
  const Child parent = Child::fork([count] {
    for (int i = 0; i < count; i++) {
      if (::fork() == 0) ::_exit(kRareStatus);
      ::wait(nullptr);
    }
    return 0;
  });
  Collector collector;
  const uint32_t masks[] = {KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_FORK, KNELL_EVENT_EXIT,
                            KNELL_EVENT_ALL, KNELL_EVENT_NONZERO_EXIT,
                            KNELL_EVENT_EXIT | KNELL_EVENT_COMM};
  uint32_t changes = 0;
  std::ptrdiff_t failures = 0;
  const auto received_all = [&] {
    EXPECT_TRUE(connector->set_request({masks[changes++ % std::size(masks)]}).has_value());
    failures += std::ranges::count_if(collector.raws, [](const event::Raw& raw) {
      // A child that was reaped before its event was made has no parent in it, so the parent is not
      // checked.
      return raw.what == KNELL_EVENT_EXIT && raw.u.exit.code == kRareStatus << 8;
    });
    collector.raws.clear();
    return failures >= count;  // a parent's event may come before that of its last child
  };
  EXPECT_TRUE(collector.read_until(*connector, received_all)) << failures << " of " << count;
  EXPECT_EQ(failures, count);
  EXPECT_GT(changes, 5U);
  EXPECT_EQ(connector->counters().lost, 0U);
}

TEST_P(ConnectorSource, EventsQueuedUnderAWiderMaskAreDropped) {
  const auto connector = open(asking(KNELL_EVENT_EXIT));
  ASSERT_TRUE(connector);
  const pid_t well = exited_child(0);
  ASSERT_TRUE(connector->set_request({KNELL_EVENT_NONZERO_EXIT}).has_value());
  const pid_t failed = exited_child(1);
  Collector collector;
  ASSERT_TRUE(collector.read_until(*connector, [&] { return collector.exit_of(failed) >= 0; }));
  EXPECT_EQ(collector.exit_of(well), -1);
}

TEST_P(ConnectorSource, WiderMaskIsInForceAtOnce) {
  const auto connector = open(asking(KNELL_EVENT_NONZERO_EXIT));
  ASSERT_TRUE(connector);
  ASSERT_TRUE(connector->set_request({KNELL_EVENT_EXIT | KNELL_EVENT_COMM}).has_value());
  rename_self(1);
  const pid_t well = exited_child(0);
  Collector collector;
  ASSERT_TRUE(collector.read_until(*connector, [&] { return collector.exit_of(well) >= 0; }));
  EXPECT_FALSE(collector.of_type(KNELL_EVENT_COMM).empty());
}

TEST_P(ConnectorSource, StopsAtTheBound) {
  const auto connector = open(asking(KNELL_EVENT_COMM));
  ASSERT_TRUE(connector);
  rename_self(99);
  Collector collector;
  for (size_t reported = 0; reported < 100; reported = collector.raws.size()) {
    ASSERT_EQ(connector->drain(collector, 1), source::Drained::kMore);
    ASSERT_LE(collector.raws.size(), reported + 1);
  }
}

TEST_P(ConnectorSource, AcksOfOthersAreNotReported) {
  const auto connector = open(asking(KNELL_EVENT_ALL));
  const auto other = open(asking(KNELL_EVENT_ALL));
  ASSERT_TRUE(connector && other);
  const pid_t child = exited_child(1);
  Collector collector;
  ASSERT_TRUE(collector.read_until(*connector, [&] { return collector.exit_of(child) >= 0; }));
  for (const event::Raw& raw : collector.raws) EXPECT_NE(raw.what, KNELL_EVENT_NONE);
}

// They overflow the queue of a probe that has not read for a while.
TEST(ConnectorProbe, AcksOfOthersAreNotTakenForSilence) {
  KNELL_NEEDS(lacks_connector());
  const auto connector = source::Connector::create({.wanted = {KNELL_EVENT_COREDUMP}});
  ASSERT_TRUE(connector) << connector.error().message();
  const auto probe = source::ConnectorProbe::open(), other = source::ConnectorProbe::open();
  ASSERT_TRUE(probe && other);
  constexpr int kMoreThanFit = 2000;
  for (int i = 0; i < kMoreThanFit; i++) ASSERT_TRUE(other->ask());
  const auto answer = probe->ask();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->acked);
  EXPECT_FALSE(answer->silent());
}

TEST_P(ConnectorSource, HealthyConnectorIsNotChanged) {
  const auto connector = open(asking(KNELL_EVENT_NONZERO_EXIT));
  ASSERT_TRUE(connector);
  EXPECT_TRUE(connector->check_health().has_value());
  Collector collector;
  collector.drain(*connector);
  EXPECT_TRUE(collector.of_type(KNELL_EVENT_LOST).empty());
  EXPECT_EQ(connector->counters().repaired, 0U);
}

// ----------------------------------------------------------------------------------------------
// loss

using Place = std::pair<uint32_t, uint32_t>;  // cpu, seq: identifies an event
Place place(const event::Raw& raw) { return {raw.cpu, raw.seq}; }

bool inside(const event::Raw& hole, const event::Raw& raw) {
  return raw.stamp_ns >= hole.u.lost.from_ns && raw.stamp_ns <= hole.stamp_ns;
}

// Makes a small socket overflow `times` times while a large one beside it receives everything.
struct Overflow {
  Overflow(uint32_t mask, Filtering best, int times) {
    const auto small = open({.wanted = {mask}, .buffer_bytes = 32U << 10, .best = best});
    const auto big = open({.wanted = {mask}, .buffer_bytes = 32U << 20, .best = best});
    if (!small || !big) return;
    Collector all;
    for (int i = 0; i < times; i++) {
      rename_self(500);
      few.drain(*small);
      rename_self(5);
    }
    all.drain(*big);
    few.drain(*small);
    EXPECT_EQ(few.broken, "");
    EXPECT_EQ(all.of_type(KNELL_EVENT_LOST).size(), 0U);
    holes = few.of_type(KNELL_EVENT_LOST);
    lost = small->counters().lost;
    std::set<Place> received;
    for (const event::Raw& raw : few.raws) {
      if (raw.what != KNELL_EVENT_LOST) received.insert(place(raw));
    }
    for (const event::Raw& raw : all.raws) {
      if (!received.contains(place(raw))) missing.push_back(raw);
    }
  }
  Collector few;
  std::vector<event::Raw> holes, missing;
  uint64_t lost = 0;
};

// On each CPU, events before a LOST event are older than all events that it reports as lost, and
// events after it are newer. Between CPUs neither timestamps nor the queue have a strict order.
void expect_in_place(const Overflow& seen) {
  for (const event::Raw& hole : seen.holes) {
    bool passed = false;
    for (const event::Raw& raw : seen.few.raws) {
      if (raw.what == KNELL_EVENT_LOST) {
        passed = passed || raw.stamp_ns == hole.stamp_ns;
        continue;
      }
      for (const event::Raw& gone : seen.missing) {
        if (gone.cpu != raw.cpu || !inside(hole, gone)) continue;
        ASSERT_EQ(raw.seq > gone.seq, passed) << raw.stamp_ns << " " << gone.stamp_ns;
      }
    }
  }
}

void overflow(uint32_t mask, Filtering best, int times) {
  const Overflow seen(mask, best, times);
  // Other processes of the machine may cause more events, unless they are filtered out.
  const bool alone = best != Filtering::kNone && mask == KNELL_EVENT_COMM;
  ASSERT_GE(seen.holes.size(), static_cast<size_t>(times));
  if (alone) {
    ASSERT_EQ(seen.holes.size(), static_cast<size_t>(times));
  }
  EXPECT_GT(seen.missing.size(), static_cast<size_t>(times) * 100);
  const bool exact = best != Filtering::kNone;
  uint64_t reported = 0;
  for (const event::Raw& hole : seen.holes) {
    reported += hole.u.lost.count;
    EXPECT_TRUE(hole.u.lost.counted);
    EXPECT_EQ(hole.u.lost.exact, exact);
    EXPECT_EQ(hole.u.lost.types, mask);
    const auto gone = std::ranges::count_if(
        seen.missing, [&](const event::Raw& raw) { return inside(hole, raw); });
    // Events of types outside the mask are counted when nothing filtered them out.
    if (alone) {
      EXPECT_EQ(hole.u.lost.count, static_cast<uint64_t>(gone));
    }
    EXPECT_GE(hole.u.lost.count, static_cast<uint64_t>(gone));
  }
  EXPECT_EQ(seen.lost, reported);
  // Events of other processes may be dropped after the big socket was read.
  if (alone) {
    EXPECT_EQ(reported, seen.missing.size());
  }
  EXPECT_GE(reported, seen.missing.size());
  expect_in_place(seen);
}

TEST_P(ConnectorSource, HoleIsReportedInItsPlaceAndCounted) {
  overflow(KNELL_EVENT_COMM, GetParam(), 1);
}

TEST_P(ConnectorSource, EachHoleIsReported) { overflow(KNELL_EVENT_COMM, GetParam(), 4); }

TEST_P(ConnectorSource, HoleAmongAllEventsIsCounted) { overflow(KNELL_EVENT_ALL, GetParam(), 1); }

TEST_P(ConnectorSource, HoleIsReportedWithinTheBound) {
  const auto connector =
      open({.wanted = {KNELL_EVENT_COMM}, .buffer_bytes = 16U << 10, .best = GetParam()});
  ASSERT_TRUE(connector);
  rename_self(300);
  Collector collector;
  size_t reported = 0;
  while (connector->drain(collector, 1) == source::Drained::kMore) {
    ASSERT_LE(collector.raws.size(), ++reported);
  }
  ASSERT_EQ(collector.of_type(KNELL_EVENT_LOST).size(), 1U);
  EXPECT_EQ(collector.raws.back().what, KNELL_EVENT_LOST);
}

// -------------------------------------------------------------------------------------------
// forgery

constexpr int32_t kForgedPid = 0x7e577e57;  // above every pid_max

// An exit as the kernel would send it, but sent from a socket of this process to the whole group.
bool forge(uint32_t seq) {
  event::Raw raw;
  raw.what = KNELL_EVENT_EXIT;
  raw.seq = seq;
  raw.stamp_ns = system_clock().monotonic_ns();
  raw.pid = raw.tid = kForgedPid;
  raw.u.exit.code = 0xdead;
  const auto bytes = event::encode(raw);
  const auto fd = source::open_connector();
  if (!fd) return false;
  sockaddr_nl everyone{};
  everyone.nl_family = AF_NETLINK;
  everyone.nl_groups = KNELL_CN_IDX_PROC;
  return ::sendto(fd->get(), bytes.data(), bytes.size(), 0,
                  reinterpret_cast<const sockaddr*>(&everyone),
                  sizeof everyone) == static_cast<ssize_t>(bytes.size());
}

TEST_P(ConnectorSource, ForgedEventsAreDropped) {
  KNELL_NEEDS(lacks_root());
  const auto connector = open(asking(KNELL_EVENT_ALL));
  ASSERT_TRUE(connector);
  // A listener that accepts every sender, to check that the forged event does arrive.
  const auto credulous = source::open_connector();
  ASSERT_TRUE(credulous && source::join_events(credulous->get()));
  ASSERT_TRUE(forge(1));
  bool arrived = false;
  std::array<std::byte, 128> bytes;
  for (ssize_t size; (size = ::recv(credulous->get(), bytes.data(), bytes.size(), 0)) > 0;) {
    const auto raw = event::decode({bytes.data(), static_cast<size_t>(size)});
    arrived = arrived || (raw && raw->what == KNELL_EVENT_EXIT && raw->u.exit.code == 0xdead);
  }
  ASSERT_TRUE(arrived);
  const pid_t child = exited_child(1);
  Collector collector;
  ASSERT_TRUE(collector.read_until(*connector, [&] { return collector.exit_of(child) >= 0; }));
  for (const event::Raw& raw : collector.of_type(KNELL_EVENT_EXIT)) {
    EXPECT_NE(raw.u.exit.code, 0xdeadU);
  }
}

}  // namespace
}  // namespace knell::test
