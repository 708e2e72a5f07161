// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "handover/handover.h"

namespace knell::source {

// The data by which the next process can take over a source: see docs/design/restart.md.
struct Kept {
  handover::Handover& handover;
  uint32_t kind = 0;  // kind of its records in the state
  // The name of the stored socket of the connector; empty: it is not stored.
  std::string socket = {};
  // The records of the earlier process's source, from its last whole one on.
  std::vector<std::string> records = {};

  enum class Outcome {
    kNew,       // there was nothing to take over
    kAdopted,   // no event was missed
    kReplaced,  // the stored data could not be used: events since then are lost
  };
  Outcome outcome = Outcome::kNew;
  std::string why = {};  // not kNew: the result of the take-over, for the log and users
  // The process ends, and the next one continues with the source: do not unsubscribe.
  bool leaving = false;
};

}  // namespace knell::source
