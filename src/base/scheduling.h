// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace knell {

// Asks the kernel to run the calling thread soon after a wakeup, at the cost of shorter slices: the
// details of a short-lived process must be read from /proc in less than a millisecond. Sets a short
// slice (Linux 6.12 and later), and a nice value of -10 where permitted and where the nice value is
// 0. Children start with the defaults. Best effort: if the kernel refuses, nothing changes.
void prefer_latency();

}  // namespace knell
