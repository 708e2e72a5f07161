// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/command_line.h"
#include "base/result.h"
#include "fleet/interest.h"

namespace knell::fleet {

// The events and hosts that a user selects: the options -e, -H and the predicates, the same for
// every subcommand that shows events.
class Selection {
 public:
  // `unless_given`: the default of -e.
  void add_options(CommandLine& line, const std::string& unless_given);
  // The selector, without owner and lease. Errors: EINVAL.
  Result<Selector> selector() const;

 private:
  static constexpr size_t kFlagCount = 10;

  std::string events_, unless_given_, hosts_ = "*";
  std::array<std::vector<std::string>, kFlagCount> values_;
};

// Whether -o is json. Errors: EINVAL: neither json, table nor "".
Result<bool> is_json(const std::string& output);

}  // namespace knell::fleet
