// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/entry_budget.h"

namespace knell::exporter {

std::chrono::milliseconds EntryBudget::take(Time now) {
  using std::chrono::milliseconds;
  if (most_ == 0) return milliseconds(0);
  if (used_ == 0 || now - began_ >= kWindow) {
    began_ = now;
    used_ = 0;
  }
  if (used_ >= most_) return std::chrono::ceil<milliseconds>(kWindow - (now - began_));
  ++used_;
  return milliseconds(0);
}

}  // namespace knell::exporter
