// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"

namespace knell {

// "SIGSEGV", "SIGRTMIN+3", "SIG70" for numbers without a name; null below 1 and above 127. The text
// is static.
const char* signal_name(int number);

// Accepts "SIGSEGV", "segv", "11", "RTMIN+3", "SIGRTMAX-1".
// Errors: EINVAL, with a message that has the most similar name, if there is one.
Result<int> parse_signal(std::string_view text);

// Whether `text` is meant as a signal: SIG..., or a signal's name without it.
bool looks_like_signal(std::string_view text);

}  // namespace knell
