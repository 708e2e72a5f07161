// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/command_line.h"
#include "export/intake.h"

namespace knell::exporter {

// The options that say which events are exported, the same for each destination that sends events.
class Selection {
 public:
  // `durable`: the default name of the durable listener; empty: it is a plain one.
  explicit Selection(std::string durable = {}) : durable_(std::move(durable)) {}
  void add_options(CommandLine& line);
  void add_match(CommandLine& line);  // --match only
  // Errors: kUsage.
  Outcome<Intake::Options> options() const;

 private:
  std::string events_, details_, durable_;
  bool plain_ = false;
  std::vector<std::string> matches_;
};

}  // namespace knell::exporter
