// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace knell::lib {

// The calling thread's last error in words; knell_explain() shows it.
std::string& last_error();

// Keeps the words, and gives what the C ABI returns.
int failed(const Error& error);

}  // namespace knell::lib
