// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace knell {
namespace {

using testing::HasSubstr;

TEST(StartDaemonHint, SaysToMountTheFolderInAContainer) {
  const std::string inside = start_daemon_hint("/run/knell/knell.sock", true);
  EXPECT_THAT(inside, HasSubstr("on the host: "));
  EXPECT_THAT(inside, HasSubstr("-v /run/knell:/run/knell)"));
  EXPECT_EQ(start_daemon_hint("/run/knell/knell.sock", false),
            "systemctl enable --now knelld.socket");
}

}  // namespace
}  // namespace knell
