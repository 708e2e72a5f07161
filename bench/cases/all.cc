// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/cases/case.h"

namespace knell::bench {

std::vector<std::unique_ptr<Case>> all_cases() {
  std::vector<std::unique_ptr<Case>> all;
  all.push_back(make_table());
  all.push_back(make_storm());
  all.push_back(make_filtered());
  all.push_back(make_fanout());
  all.push_back(make_latency());
  all.push_back(make_limit());
  all.push_back(make_soak());
  return all;
}

}  // namespace knell::bench
