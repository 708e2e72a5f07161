// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/unique_fd.h"

#include <fcntl.h>

#include <cerrno>

namespace knell {

void UniqueFd::reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const int saved = errno;
  ::close(old);
  errno = saved;
}

bool descriptors_ran_out() {
  const auto open_one = [] { return UniqueFd(::open("/", O_PATH | O_CLOEXEC)); };
  const UniqueFd first = open_one();
  const UniqueFd second = first ? open_one() : UniqueFd();
  return !second && (errno == EMFILE || errno == ENFILE);
}

}  // namespace knell
