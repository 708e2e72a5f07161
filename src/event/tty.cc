// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/tty.h"

#include <sys/sysmacros.h>

#include <cstdio>

namespace knell::event {
namespace {

// From the kernel's Documentation/admin-guide/devices.txt.
constexpr unsigned kTerminals = 4, kConsoles = 64;  // tty0 to tty63, then ttyS0 and up
constexpr unsigned kFirstPty = 136, kPtyMajors = 8, kMinors = 256;  // minors of each pty major

}  // namespace

std::array<char, 16> tty_name(uint32_t device) {
  std::array<char, 16> name{};
  const unsigned major = gnu_dev_major(device), minor = gnu_dev_minor(device);
  const auto print = [&](const char* format, auto... numbers) {
    (void)std::snprintf(name.data(), name.size(), format, numbers...);
  };
  if (device == 0) return name;
  if (major == kTerminals && minor < kConsoles)
    print("tty%u", minor);
  else if (major == kTerminals)
    print("ttyS%u", minor - kConsoles);
  else if (major >= kFirstPty && major < kFirstPty + kPtyMajors)
    print("pts/%u", (major - kFirstPty) * kMinors + minor);
  else
    print("%u:%u", major, minor);
  return name;
}

}  // namespace knell::event
