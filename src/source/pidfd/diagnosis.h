// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "source/finding.h"

namespace knell::source {

// What pidfds can report here; the first finding says whether they work at all.
std::vector<Finding> examine_pidfd();

}  // namespace knell::source
