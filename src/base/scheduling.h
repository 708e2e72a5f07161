// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace knell {

// Asks the kernel to run the calling thread soon after it was woken, rather than long: what wants
// to read a short-lived process from /proc has less than a millisecond for it. Short slices (Linux
// 6.12 and later) and, where permitted and nobody chose a nice value, a better one. Children start
// as if nothing had been asked. A wish: what the kernel does not grant is left as it is.
void prefer_latency();

}  // namespace knell
