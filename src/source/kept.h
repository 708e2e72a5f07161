// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "handover/handover.h"

namespace knell::source {

// For a source that the next process can take over: see docs/design/restart.md.
struct Kept {
  handover::Handover& handover;
  uint32_t kind = 0;  // of its records in the state
  // The name of the stored socket of the connector; empty: it is not kept.
  std::string socket = {};
  // The records of the earlier process's source, from its last whole one on.
  std::vector<std::string> records = {};

  enum class Outcome {
    kNew,       // there was nothing to take over
    kAdopted,   // no event was missed
    kReplaced,  // what there was could not be used: the events of the meantime are lost
  };
  Outcome outcome = Outcome::kNew;
  std::string why = {};  // not kNew: what became of it, for the log and users
  // The process ends, and the source goes on: it is not to be unsubscribed.
  bool leaving = false;
};

}  // namespace knell::source
