// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace knell::cli {

// Whether to refuse a Go program. C code linked into one can be intercepted.
enum class Go { kRefuse, kAllow };

// Checks that LD_PRELOAD loads libknell-compat into the program at `path`, and that the library can
// intercept its calls. For a script its interpreter is checked. Errors: ENOEXEC, with a message
// that says why not and how to fix it; an errno if a file cannot be read.
Result<void> check_preloadable(const std::string& path, Go go = Go::kRefuse);

// The path of libknell-compat.so, which is installed beside libknell.so. Errors: EINVAL: LD_PRELOAD
// cannot hold its path; else an errno: not found, or not readable.
Result<std::string> compat_library();

}  // namespace knell::cli
