// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/boot_id.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "base/unique_fd.h"

namespace knell {

std::string boot_id() {
  const UniqueFd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[36];
  if (!fd || ::read(fd.get(), text, sizeof text) != sizeof text) return {};
  return {text, sizeof text};
}

uint32_t boot_number() {
  return static_cast<uint32_t>(std::strtoul(boot_id().substr(0, 8).c_str(), nullptr, 16));
}

}  // namespace knell
