// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/children.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "base/pid_list.h"
#include "base/unique_fd.h"

namespace knell {

// A file with children in it can miss some of them while others end. An empty one cannot.
bool may_have_children(int proc, int32_t pid) {
  UniqueFd tasks(
      ::openat(proc, (std::to_string(pid) + "/task").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!tasks) return true;
  const int folder = tasks.get();
  PidList threads(std::move(tasks));
  bool any = false;
  while (const int32_t tid = threads.next()) {
    any = true;
    const UniqueFd children(
        ::openat(folder, (std::to_string(tid) + "/children").c_str(), O_RDONLY | O_CLOEXEC));
    char byte = 0;
    if (!children || ::read(children.get(), &byte, 1) != 0) return true;
  }
  return !any || threads.failed();
}

}  // namespace knell
