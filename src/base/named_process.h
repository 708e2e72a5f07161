// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell {

// A pidfd of the process that somebody named, to see later whether it has died. `start`: field 22
// of its /proc/PID/stat, against reuse of the pid; 0: whoever it is now. The descriptor is empty
// where there is none to be had (no descriptors left, an old kernel). Errors, each a whole
// sentence: EINVAL not above 0; ESRCH there is no such process (any more), or it is a thread and no
// process. A zombie still is one.
Result<UniqueFd> open_named_process(pid_t pid, uint64_t start);

}  // namespace knell
