// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <csignal>
#include <string>
#include <string_view>

#include "cli/event_for_test.h"
#include "cli/timeline/process_history.h"

namespace knell::cli {

// Fills a ProcessHistory from short descriptions of events. Times are CLOCK_MONOTONIC ns.
class HistoryForTest {
 public:
  HistoryForTest() = default;
  explicit HistoryForTest(size_t most) : history(most) {}

  HistoryForTest& start(pid_t pid, uint64_t at) {
    history.start(pid, at);
    return *this;
  }
  // The next fork has a child id with this start.
  HistoryForTest& with_start(uint64_t start) {
    next_start_ = start;
    return *this;
  }
  HistoryForTest& fork(pid_t parent, pid_t child, uint64_t at) {
    EventForTest event;
    event.fork(parent, child);
    if (next_start_ != 0) event.event.child_id = id(child, next_start_);
    next_start_ = 0;
    return add(event, at);
  }
  HistoryForTest& thread(pid_t pid, pid_t tid, uint64_t at) {
    EventForTest event;
    event.fork(pid, pid);
    event.event.child_tid = tid;
    return add(event, at);
  }
  template <size_t N>
  HistoryForTest& exec(pid_t pid, uint64_t at, std::string comm, const char (&args)[N]) {
    return exec(pid, at, std::move(comm), std::string(args, N - 1));
  }
  HistoryForTest& exec(pid_t pid, uint64_t at, std::string comm, std::string args) {
    EventForTest event;
    event.process(pid, 0).comm(std::move(comm)).args(std::move(args));
    event.event.type = KNELL_EVENT_EXEC;
    return add(event, at);
  }
  HistoryForTest& exit(pid_t pid, uint64_t at, int wait_status, uint64_t start = 0) {
    EventForTest event;
    event.process(pid, 0).exit(wait_status);
    if (start != 0) event.event.id = id(pid, start);
    return add(event, at);
  }
  HistoryForTest& exit_after(pid_t pid, uint64_t at, uint64_t duration_ns) {
    EventForTest event;
    event.process(pid, 0).exit(0).lasted(duration_ns);
    return add(event, at);
  }
  HistoryForTest& exit_unknown(pid_t pid, uint64_t at) {
    EventForTest event;
    event.process(pid, 0);
    return add(event, at);
  }
  HistoryForTest& exit_oom(pid_t pid, uint64_t at) {
    EventForTest event;
    event.process(pid, 0).exit(SIGKILL);
    event.event.has |= KNELL_HAS_KILLER;
    event.event.killed_by.cause = KNELL_CAUSE_OOM;
    return add(event, at);
  }
  // An exit in another boot, which began `boot_at` after the first one.
  HistoryForTest& exit_in_boot(uint32_t boot, uint64_t boot_at, pid_t pid, uint64_t at,
                               uint64_t duration_ns) {
    EventForTest event;
    event.process(pid, 0).exit(0).lasted(duration_ns);
    event.event.id = id(pid, 1);
    event.event.id.boot = boot;
    return add(event, at, boot_at);
  }
  HistoryForTest& exit_with_parent_id(pid_t pid, pid_t parent, uint64_t at) {
    EventForTest event;
    event.process(pid, parent).exit(0);
    event.event.id = id(pid, 1);
    event.event.parent_id = id(parent, 1);
    return add(event, at);
  }
  HistoryForTest& lost(uint64_t count) {
    EventForTest event;
    event.event.type = KNELL_EVENT_LOST;
    event.event.has |= KNELL_HAS_COUNT;
    event.event.lost_count = count;
    return add(event, 1);
  }
  const ProcessHistory& finish(uint64_t at = 0) {
    history.finish(at);
    return history;
  }

  ProcessHistory history;

 private:
  static knell_id id(pid_t pid, uint64_t start) { return {0x12345678, pid, start, KNELL_ID_START}; }
  HistoryForTest& add(EventForTest& event, uint64_t at, uint64_t boot_at = 0) {
    event.event.mono_ns = at;
    event.event.time_ns = static_cast<int64_t>(at + boot_at) + 1'700'000'000'000'000'000;
    history.add(event);
    return *this;
  }
  uint64_t next_start_ = 0;
};

}  // namespace knell::cli
