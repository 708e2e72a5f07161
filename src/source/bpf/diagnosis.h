// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "source/finding.h"

namespace knell::source {

// What works of bpf here; the first finding says whether it works at all. Loads the programs to
// find out.
std::vector<Finding> examine_bpf();

}  // namespace knell::source
