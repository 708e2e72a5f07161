// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "lib/listener_filter.h"

namespace knell::lib {

// A visitor of knell_snapshot().
struct Visitor {
  int (*visit)(const knell_event* event, void* context);
  void* context;
  int operator()(const knell_event& event) const { return visit(&event, context); }
};

// Calls `visitor` for each living process in /proc that matches the predicates of `filter`, parents
// before their children, until it returns non-zero, which is then the result; else 0. `uid`: only
// processes of this user. Reads all of /proc. Errors: /proc cannot be read.
Result<int> snapshot_of_proc(const ListenerFilter& filter, const Visitor& visitor,
                             std::optional<uint32_t> uid = std::nullopt);

}  // namespace knell::lib
