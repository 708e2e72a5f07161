// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string>

namespace knell::source {

// One line of knell_doctor(), see knell_finding.
struct Finding {
  uint32_t level = KNELL_FINDING_OK;
  const char* subject;
  std::string text, fix{};

  bool works() const { return level == KNELL_FINDING_OK || level == KNELL_FINDING_WARN; }
};

}  // namespace knell::source
