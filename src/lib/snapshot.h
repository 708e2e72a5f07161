// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include "base/result.h"
#include "filter/predicates.h"

namespace knell::lib {

// Calls `visit` for each living process that matches `predicates`, parents before their children,
// until `visit` returns non-zero, which is then the result; else 0. Reads all of /proc. Errors:
// /proc cannot be read.
Result<int> snapshot(const filter::Predicates& predicates,
                     int (*visit)(const knell_event* event, void* context), void* context);

}  // namespace knell::lib
