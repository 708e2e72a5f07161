// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "filter/interest.h"
#include "filter/predicates.h"
#include "filter/rule.h"
#include "hub/sighting.h"
#include "hub/users.h"

namespace knell::hub {

// Which processes a listener may hear of, whatever it asks for.
struct Scope {
  bool every_user = false;
  uint32_t uid = 0;  // else: those of this user
  uint32_t ns = 0;  // in this pid namespace, by its inode number, with the pids they have there; 0:
                    // the initial one, which is no limit
  bool operator==(const Scope&) const = default;
};

// What one listener asked for.
struct Subscription {
  Stream stream = Stream::kProcesses;
  uint32_t mask = KNELL_EVENT_ALL;  // normalised
  filter::Rule rule = filter::Rule::kReleased;
  uint32_t details = KNELL_DETAILS_FULL;  // enum knell_details
  // With pids as the listener knows them; `under` in those of the initial namespace. Of a Filter:
  // empty.
  std::vector<filter::Predicate> predicates = {};
  bool only_added = false;
};

// The same, checked and ready to judge events. Those of equal keys are equal.
struct Filter {
  static Result<Filter> of(Subscription subscription, const Scope& scope);
  // What is known of its claim before anything is compiled; so what costs too much costs nothing.
  static size_t values_of(const Subscription& subscription);

  // What it takes to serve it.
  filter::Want want() const;
  // Whether it could want one of that type (EXIT: with that status) at all.
  bool wants_type(uint32_t type, bool zero) const;

  Subscription subscription;
  Scope scope;
  filter::Predicates predicates;
  filter::Needs needs;
  Users::Claim claim;  // for quotas
  std::string key;
};

}  // namespace knell::hub
