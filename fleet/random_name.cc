// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/random_name.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace knell::fleet {

std::string random_name() {
  std::array<uint64_t, 2> bits{};
  // Fails only before the kernel's generator is ready, which the flags do not wait for.
  if (::getrandom(bits.data(), sizeof bits, GRND_NONBLOCK) < 0)
    bits = {system_clock().boottime_ns(), static_cast<uint64_t>(system_clock().realtime_ns())};
  return fmt::format("{:016x}{:016x}", bits[0], bits[1]);
}

}  // namespace knell::fleet
