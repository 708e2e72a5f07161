// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace knell::lib {

// The text of the calling thread's last error; knell_explain() returns it.
std::string& last_error();

// Stores the text of the error, and returns the negative errno for the C ABI.
int failed(const Error& error);

}  // namespace knell::lib
