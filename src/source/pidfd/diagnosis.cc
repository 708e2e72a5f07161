// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/pidfd/diagnosis.h"

#include "base/pidfd.h"
#include "base/unique_fd.h"

namespace knell::source {

std::vector<Finding> examine_pidfd() {
  const PidfdFeatures features = pidfd_features();
  if (features.open && features.exit_info)
    return {
        {KNELL_FINDING_OK, "pidfd", "exit and status of any process, even after it was reaped"}};
  if (descriptors_ran_out()) {
    return {{KNELL_FINDING_NO, "pidfd", "not checked: no descriptors left",
             "raise the limit of open files (ulimit -n)"}};
  }
  if (!features.open)
    return {{KNELL_FINDING_NO, "pidfd", "this kernel has no pidfds", "Linux 5.3 or later"}};
  const std::string text = "exit of any process; status of own children and zombies only";
  return {{KNELL_FINDING_WARN, "pidfd", features.info ? text : text + " (no PIDFD_GET_INFO)",
           "Linux 6.15 or later"}};
}

}  // namespace knell::source
