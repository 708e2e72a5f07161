// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <bitset>
#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace knell::filter {

// Ways for a process to end: what values of `ended` add up to. As quick with a thousand of them as
// with one.
class EndedSet {
 public:
  enum class Number { kCode, kSignal };  // what a bare number means

  // "0", "2-255", "SIGKILL", "signal", "core", "oom", "unknown". Errors: EINVAL, a whole sentence.
  Result<void> add(std::string_view value, Number number);
  // `event` is an exit. One whose status is unknown is matched by "unknown" alone.
  bool matches(const knell_event& event) const;
  bool has_code(size_t code) const { return codes_[code]; }
  bool has_unknown() const { return unknown_; }

  bool empty() const { return values_ == 0; }
  size_t size() const { return values_; }  // values added

 private:
  std::bitset<256> codes_;
  std::bitset<128> signals_;
  bool core_ = false, oom_ = false, unknown_ = false;
  size_t values_ = 0;
};

}  // namespace knell::filter
