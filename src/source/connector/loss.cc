// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/loss.h"

#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <array>

namespace knell::source {

uint64_t LossCounter::take() {
  const uint32_t count = drops() - taken_;  // correct when the kernel's counter wraps
  taken_ += count;
  total_ += count;
  return count;
}

uint32_t LossCounter::drops() const {
  std::array<uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t size = sizeof memory;
  if (::getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, memory.data(), &size) != 0) return 0;
  return memory[SK_MEMINFO_DROPS];
}

}  // namespace knell::source
