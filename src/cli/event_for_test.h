// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <deque>
#include <string>
#include <utility>

namespace knell::cli {

// Builds an event for a test; owns the bytes its strings point to.
struct EventForTest {
  knell_event event{};

  EventForTest() {
    event.size = sizeof event;
    event.type = KNELL_EVENT_EXIT;
    event.via = KNELL_VIA_CONNECTOR;
  }
  operator const knell_event&() const {
    return event;
  }  // NOLINT(google-explicit-constructor): passed as an event

  EventForTest& exit(int wait_status) {
    event.type = KNELL_EVENT_EXIT;
    event.has |= KNELL_HAS_STATUS;
    event.wait_status = wait_status;
    return *this;
  }
  EventForTest& process(int32_t pid, int32_t ppid) {
    event.pid = event.tid = pid;
    event.ppid = ppid;
    event.has &= ~KNELL_HAS_PPID;
    if (ppid != 0) event.has |= KNELL_HAS_PPID;
    return *this;
  }
  EventForTest& fork(int32_t parent, int32_t child) {
    event.type = KNELL_EVENT_FORK;
    event.pid = event.tid = parent;
    event.child_pid = event.child_tid = child;
    return *this;
  }
  EventForTest& lasted(uint64_t ns) {
    event.has |= KNELL_HAS_DURATION;
    event.duration_ns = ns;
    return *this;
  }
  EventForTest& killed_by(int32_t pid, uint32_t uid, std::string text) {
    event.has |= KNELL_HAS_KILLER | KNELL_HAS_KILLER_PID | KNELL_HAS_KILLER_UID;
    event.killed_by.pid = pid;
    event.killed_by.uid = uid;
    event.killed_by.cause = KNELL_CAUSE_USER;
    return set(event.killed_by.comm, std::move(text));
  }
  EventForTest& comm(std::string text) { return set(event.comm, std::move(text)); }
  EventForTest& parent_comm(std::string text) { return set(event.parent_comm, std::move(text)); }
  EventForTest& args(std::string text) { return set(event.args, std::move(text)); }
  EventForTest& user(std::string text) { return set(event.user, std::move(text)); }
  EventForTest& unit(std::string text) { return set(event.unit, std::move(text)); }
  EventForTest& container(std::string text) { return set(event.container_id, std::move(text)); }

 private:
  EventForTest& set(knell_string& field, std::string text) {
    bytes_.push_back(std::move(text));
    field = {bytes_.back().data(), bytes_.back().size()};
    return *this;
  }
  std::deque<std::string> bytes_;  // does not move its elements
};

}  // namespace knell::cli
