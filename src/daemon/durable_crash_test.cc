// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Kills a daemon that serves durable listeners at its first, second, third, ... system call that
// changes a file, in any thread, until the daemon runs to its end. Then the next daemon must
// deliver every event that was committed and not acknowledged, in order, or count it as lost if the
// retention deleted it. It must deliver no acknowledged event, and must have the correct names.
//
// KNELL_CRASH_POINTS=all kills at every call; otherwise at a sample of them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/durable_for_test.h"
#include "journal/crash_for_test.h"

namespace knell::daemon {
namespace {

namespace fs = std::filesystem;

// The answers that the killed daemon has sent to its clients.
struct Report {
  enum Kind : int32_t {
    kAttached,
    kStored,
    kAcknowledging,
    kAcknowledged,
    kForgetting,
    kForgotten
  };
  Kind kind;
  int32_t pid;  // pid of the newest event that this report is about
};

struct Told {
  bool attached = false, forgetting = false, forgotten = false;
  int32_t stored = 0;
  // the last event whose ack was confirmed, and one whose ack may have been
  std::vector<int32_t> acknowledged{0};
};

constexpr int32_t kEvents = 1200, kRound = 300;
wire::Durable name_from(uint32_t from) {
  return {.name = "n", .from = from, .cursor = {}, .most_unacked = 4096};
}

// Reports some events; each round is acknowledged, deleted, or neither.
void serve(const DurableStage::Options& options, int reports) {
  DurableStage stage(options);
  const auto report = [&](Report::Kind kind, int32_t pid = 0) {
    const Report one{.kind = kind, .pid = pid};
    if (::write(reports, &one, sizeof one) != sizeof one) ::_exit(2);
  };
  stage.disconnect(stage.attached("other"));
  DurableClient* client = &stage.connect();
  if (stage.attach(*client, name_from(KNELL_FROM_OLDEST)).error != 0) ::_exit(3);
  report(Report::kAttached);
  for (int32_t last = kRound; last <= kEvents; last += kRound) {
    stage.exits(last - kRound + 1, last);
    stage.durable_->recorder().flush();
    report(Report::kStored, last);
    if (last == kEvents) break;
    if (last == 2 * kRound) {
      // The events of this round are not acknowledged, and the retention deletes them.
      stage.disconnect(*client);
      continue;
    }
    if (last == 3 * kRound) {
      client = &stage.connect();
      if (stage.attach(*client, name_from(KNELL_FROM_ACKNOWLEDGED)).error != 0) ::_exit(4);
    }
    stage.until([&] { return !client->seen.empty() && client->seen.back().pid == last; });
    const Delivered& event = client->seen[client->seen.size() - kRound / 2];
    report(Report::kAcknowledging, event.pid);
    if (stage.acknowledge(*client, event).error != 0) ::_exit(5);
    report(Report::kAcknowledged, event.pid);
  }
  report(Report::kForgetting);
  const wire::Forget other{.name = "other", .owner = {}};
  if (stage.ask(*client, wire::encode(other, ++client->requests)).error != 0) ::_exit(6);
  report(Report::kForgotten);
  stage.stop();
  if (::testing::Test::HasFailure()) ::_exit(1);
}

Told read_reports(int fd) {
  Told told;
  for (Report one{}; ::read(fd, &one, sizeof one) == sizeof one;) {
    switch (one.kind) {
      case Report::kAttached:
        told.attached = true;
        break;
      case Report::kStored:
        told.stored = one.pid;
        break;
      case Report::kAcknowledging:
        told.acknowledged.push_back(one.pid);
        break;
      case Report::kAcknowledged:
        told.acknowledged = {one.pid};
        break;
      case Report::kForgetting:
        told.forgetting = true;
        break;
      case Report::kForgotten:
        told.forgotten = true;
        break;
    }
  }
  return told;
}

void check(const DurableStage::Options& options, const Told& told) {
  DurableStage stage(options);
  for (const auto& entry : fs::directory_iterator(fs::path(options.path).parent_path()))
    EXPECT_EQ(entry.path().string().find("damaged"), std::string::npos) << entry.path();
  const auto names = journal::read_durable_names(options.path);
  const auto has = [&](std::string_view name) {
    return std::ranges::any_of(names, [&](const auto& row) { return row.name == name; });
  };
  if (told.attached) {
    EXPECT_TRUE(has("n"));
    EXPECT_TRUE(has("other") || told.forgetting);
    EXPECT_FALSE(has("other") && told.forgotten);
  }
  DurableClient& client = stage.connect();
  const uint32_t from = has("n") ? KNELL_FROM_ACKNOWLEDGED : KNELL_FROM_OLDEST;
  ASSERT_EQ(stage.attach(client, name_from(from)).error, 0);
  constexpr int32_t kMarker = 100'000;
  stage.exits(kMarker, kMarker);
  stage.until([&] { return !client.seen.empty() && client.seen.back().pid == kMarker; });
  client.seen.pop_back();
  int32_t before = 0;  // events lost before the first event
  int32_t first = 0, last = 0;
  for (const Delivered& event : client.seen) {
    if (event.type == KNELL_EVENT_LOST) {
      ASSERT_TRUE(event.lost && event.exact);
      (first == 0 ? before : last) += static_cast<int32_t>(*event.lost);
      continue;
    }
    if (first == 0) last = (first = event.pid) - 1;
    EXPECT_EQ(event.pid, last + 1);
    last = event.pid;
  }
  if (!told.attached) return;
  EXPECT_GE(last, told.stored);
  if (first != 0) {
    EXPECT_THAT(told.acknowledged, ::testing::Contains(first - 1 - before))
        << "delivered from " << first << " on, after " << before << " lost events";
  }
}

TEST(DurableCrash, WhatIsNotAcknowledgedIsDeliveredWheneverTheDaemonIsKilled) {
  for (int n = first_point();; n = next_point(n, 17)) {
    SCOPED_TRACE("call " + std::to_string(n));
    const journal::TemporaryFolder folder;
    const DurableStage::Options options{.path = folder.file("journal.db"), .most_bytes = 64 << 10};
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    const UniqueFd read_end(ends[0]), write_end(ends[1]);
    const journal::Outcome outcome =
        journal::run_until(n, [&] { serve(options, write_end.get()); });
    if (outcome == journal::Outcome::kCannotTrace) GTEST_SKIP() << "ptrace(2) is not allowed here";
    const Told told = read_reports(read_end.get());
    check(options, told);
    if (::testing::Test::HasFailure()) return;
    if (outcome == journal::Outcome::kKilled) continue;
    EXPECT_TRUE(told.forgotten);
    EXPECT_GT(n, 100) << "too few calls were traced";
    return;
  }
}

}  // namespace
}  // namespace knell::daemon
