// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <bitset>
#include <cstddef>

#include "filter/predicate.h"

namespace knell::filter {

// A set of ways for a process to end, built from values of `ended`. matches() takes constant time.
class EndedSet {
 public:
  void add(const Ended& ended);  // `ended` has passed check()
  // `event` must be an exit. If its status is unknown only kUnknown matches it.
  bool matches(const knell_event& event) const;
  // Whether an exit whose details were lost may match: a SIGKILL may have been sent by the
  // out-of-memory killer.
  bool may_match(const knell_event& event) const;
  bool has_code(size_t code) const { return codes_[code]; }
  bool has_unknown() const { return unknown_; }
  bool empty() const { return empty_; }

 private:
  std::bitset<256> codes_;
  std::bitset<128> signals_;
  bool core_ = false, oom_ = false, unknown_ = false, empty_ = true;
};

}  // namespace knell::filter
