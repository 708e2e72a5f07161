// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "filter/subscription.h"
#include "hub/published_event.h"
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

using filter::Subscription;

// A subscription, checked and ready to judge events. Those of equal keys are equal.
struct Filter {
  static Result<Filter> of(Subscription subscription, const Scope& scope);
  // What is known of its claim before anything is compiled; so what costs too much costs nothing.
  static size_t values_of(const Subscription& subscription);

  // Whether it could want one of that type (EXIT: with that status) at all.
  bool wants_type(uint32_t type, bool zero) const;

  Subscription subscription;  // without its predicates
  Scope scope;
  filter::Predicates predicates;  // with pids as the listener knows them; `under` with those of the
                                  // initial namespace
  filter::Interest interest;      // what the sources are asked for it
  Users::Claim claim;             // what it takes of its user's quotas
  std::string key;
};

}  // namespace knell::hub
