// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "handover/keeper.h"
#include "handover/state.h"

namespace knell::handover {

// What a process hands over to the next one: descriptors, and the state that belongs to them.
struct Handover {
  Keeper keeper;
  std::optional<State> state;
};

}  // namespace knell::handover
