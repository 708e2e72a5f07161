// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/tty.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <string>

namespace knell::event {
namespace {

std::string name_of(unsigned major, unsigned minor) {
  return tty_name(static_cast<uint32_t>(makedev(major, minor))).data();
}

TEST(Tty, NamesTheTerminalInDev) {
  EXPECT_EQ(tty_name(0)[0], '\0');
  EXPECT_EQ(tty_name(34819).data(), std::string("pts/3"));  // as /proc/PID/stat has it
  EXPECT_EQ(name_of(136, 0), "pts/0");
  EXPECT_EQ(name_of(136, 300), "pts/300");
  EXPECT_EQ(name_of(137, 1), "pts/257");
  EXPECT_EQ(name_of(4, 1), "tty1");
  EXPECT_EQ(name_of(4, 63), "tty63");
  EXPECT_EQ(name_of(4, 64), "ttyS0");
  EXPECT_EQ(name_of(229, 0), "229:0") << "its name does not follow from the number";
  EXPECT_EQ(name_of(4095, 1048575), "4095:1048575");
}

}  // namespace
}  // namespace knell::event
