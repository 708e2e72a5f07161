// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <bitset>
#include <cstddef>

#include "filter/predicate.h"

namespace knell::filter {

// Ways for a process to end: what values of `ended` add up to. As quick with a thousand of them as
// with one.
class EndedSet {
 public:
  void add(const Ended& ended);  // that check() passes
  // `event` is an exit. One whose status is unknown is matched by kUnknown alone.
  bool matches(const knell_event& event) const;
  bool has_code(size_t code) const { return codes_[code]; }
  bool has_unknown() const { return unknown_; }
  bool empty() const { return empty_; }

 private:
  std::bitset<256> codes_;
  std::bitset<128> signals_;
  bool core_ = false, oom_ = false, unknown_ = false, empty_ = true;
};

}  // namespace knell::filter
