// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace knell::cli {

// Whether a Go program is refused: C code that is linked into one may be intercepted.
enum class Go { kRefuse, kAllow };

// Whether a library of ours is loaded into the program at `path` by LD_PRELOAD, and its calls are
// intercepted. Of a script the interpreter is looked at. Errors: ENOEXEC, a sentence that says why
// not and what would help; others when it cannot be read.
Result<void> check_preloadable(const std::string& path, Go go = Go::kRefuse);

// libknell-compat.so, which lies where libknell.so does.
Result<std::string> compat_library();

}  // namespace knell::cli
