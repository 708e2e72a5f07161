// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/pid_map.h"
#include "base/result.h"
#include "filter/subscription.h"
#include "hub/published_event.h"
#include "hub/users.h"

namespace knell::hub {

// The processes whose events a listener may receive, whatever it subscribes to.
struct Scope {
  bool every_user = false;
  uint32_t uid = 0;  // without every_user: only processes of this user
  uint32_t ns = 0;  // inode number of a pid namespace: only processes in it, with their pids there;
                    // 0: all processes, with the pids of the initial namespace
  bool operator==(const Scope&) const = default;
};

using filter::Subscription;

// A subscription, checked and compiled. Filters with equal keys are equal.
struct Filter {
  static Result<Filter> create(Subscription subscription, const Scope& scope);
  // Claim::values of a subscription, without compiling it: so refusing a subscription above the
  // quota is cheap.
  static size_t values_of(const Subscription& subscription);

  // Whether an event of this type can pass. `zero`: it is an EXIT with status 0.
  bool wants_type(uint32_t type, bool zero) const;

  Subscription subscription;  // without its predicates
  Scope scope;
  filter::Predicates predicates;  // with pids as the listener knows them; `under` with those of the
                                  // initial namespace
  filter::Interest interest;      // what the sources must report for it
  Users::Claim claim;             // the share of its user's quotas that it takes
  std::string key;
};

class Listener;

// A filter and all the listeners that have it.
struct Node {
  Filter filter;
  std::vector<Listener*> listeners;
  // With only_added: the added processes, by the listener's pid; the value is the start time in
  // clock ticks since boot, 0: unknown. Such a node has one listener.
  PidMap<uint64_t> added;
  // For a pid in `added` that was reused: the start of the process before, which was added too, and
  // whose exit may not be published yet. One for each pid, so that their number is limited like
  // that of `added`.
  std::unordered_map<int32_t, uint64_t> replaced = {};
  // The changes of `added` that were not saved yet; see Hub::changed().
  struct AddedChange {
    int32_t pid;
    bool added;
    uint64_t start;
  };
  std::vector<AddedChange> unsaved = {};
};

}  // namespace knell::hub
