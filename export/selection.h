// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/command_line.h"
#include "export/intake.h"

namespace knell::exporter {

// The options that say which events are exported, the same for each destination that sends events.
class Selection {
 public:
  void add_options(CommandLine& line);
  void add_match(CommandLine& line);  // --match only
  // Errors: kUsage.
  Outcome<Intake::Options> options() const;

 private:
  std::string events_, details_;
  std::vector<std::string> matches_;
};

}  // namespace knell::exporter
