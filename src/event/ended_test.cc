// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/ended.h"

#include <gtest/gtest.h>

namespace knell::event {
namespace {

knell_event exited(int status) {
  knell_event event{};
  event.type = KNELL_EVENT_EXIT;
  event.has = KNELL_HAS_STATUS;
  event.wait_status = status;
  return event;
}

TEST(Ended, Codes) {
  EXPECT_EQ(ended_text(exited(0)), "exit 0");
  EXPECT_EQ(ended_text(exited(0x100)), "exit 1");
  EXPECT_EQ(ended_text(exited(0xff00)), "exit 255");
}

TEST(Ended, Signals) {
  EXPECT_EQ(ended_text(exited(9)), "SIGKILL");
  EXPECT_EQ(ended_text(exited(0x8b)), "SIGSEGV core");
  EXPECT_EQ(ended_text(exited(37)), "SIGRTMIN+3");
  knell_event event = exited(9);
  event.killed_by.cause = KNELL_CAUSE_OOM;
  EXPECT_EQ(ended_text(event), "SIGKILL");  // the killer is unknown: KNELL_HAS_KILLER is not set
  event.has |= KNELL_HAS_KILLER;
  EXPECT_EQ(ended_text(event), "SIGKILL oom");
}

TEST(Ended, AnUnknownEndIsUnknown) {
  knell_event event = exited(0x100);
  event.has = 0;
  EXPECT_EQ(ended_text(event), "unknown");
  EXPECT_EQ(ended_text(exited(0x137f)), "unknown");  // stopped: not an end of a process
  event = exited(9);
  event.type = KNELL_EVENT_EXEC;
  EXPECT_EQ(ended_text(event), "");
}

}  // namespace
}  // namespace knell::event
