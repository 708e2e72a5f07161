// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <knell/knell.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell::fleet {

// Tests events with a mask and predicates by the rules of the library, which tests only events that
// it reads: so each event is written to a recording in a pipe, and read from there. A host sends
// what any reader asks for; each reader drops the rest with this. Not thread-safe.
class EventFilter {
 public:
  using Predicates = std::map<std::string, std::vector<std::string>>;
  // Errors: EINVAL: a predicate; those of pipe2(2).
  static Result<std::unique_ptr<EventFilter>> create(uint32_t events, const Predicates& predicates);
  EventFilter(const EventFilter&) = delete;
  EventFilter& operator=(const EventFilter&) = delete;
  ~EventFilter();

  // An event that cannot be tested passes.
  bool passes(const knell_event& event);

 private:
  EventFilter() = default;

  Listener origin_;  // a recorder describes the listener of its events
  UniqueFd to_, from_;
  knell_recorder* recorder_ = nullptr;
  Listener listener_;
};

}  // namespace knell::fleet
