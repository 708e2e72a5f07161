// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "source/finding.h"

namespace knell::source {

// Whether ptrace(2) can trace a child of this process here. Forks a child to find out.
std::vector<Finding> examine_ptrace();

}  // namespace knell::source
