// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"

namespace knell::source {

// What keeps this process from tracing, whatever the process to be traced. Errors: ENOTSUP.
Result<void> check_namespace();

// Why ptrace(2) refused to trace a process, and what would help.
struct Refusal {
  std::string text, fix;
};
// `error`: that of PTRACE_SEIZE.
Refusal why_refused(int error);

}  // namespace knell::source
