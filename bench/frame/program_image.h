// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bench/frame/failure.h"

namespace knell::bench {

// A path to execute for a program that ends at once: tiny.c, out of a file in memory, so that no
// disk and no folder has a say; /bin/true on machines tiny.c knows nothing of. The path is good in
// this process and its children.
Outcome<std::string> tiny_program();

}  // namespace knell::bench
