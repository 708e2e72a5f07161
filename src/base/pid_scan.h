// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/pid_list.h"

namespace knell {

// A limit on the work of one call. One unit is about the cost of reading one file of /proc, some 10
// us.
struct ScanBudget {
  size_t left = std::numeric_limits<size_t>::max();

  void spend(size_t units) { left -= std::min(left, units); }
};

// Scans the processes in /proc in pieces, since reading all of them takes long where there are
// many. A process that begins or ends during the scan may or may not be visited; events report it.
class PidScan {
 public:
  void begin(PidList list = PidList()) {
    list_.emplace(std::move(list));
    failed_ = false;
  }
  void cancel() { list_.reset(); }
  bool running() const { return list_.has_value(); }
  // Whether the scan ended early because /proc could not be read.
  bool failed() const { return failed_; }

  // Calls visit(pid), which costs `units`, while the budget lasts. True: this call ended the scan,
  // and every process was visited.
  template <class F>
  bool advance(ScanBudget& budget, size_t units, F visit) {
    while (running() && budget.left > 0) {
      const int32_t pid = list_->next();
      if (pid == 0) {
        failed_ = list_->failed();
        cancel();
        return !failed_;
      }
      budget.spend(units);
      visit(pid);  // may call cancel()
    }
    return false;
  }

 private:
  std::optional<PidList> list_;  // nullopt: no scan is running
  bool failed_ = false;
};

}  // namespace knell
