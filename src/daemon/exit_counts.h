// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/status.h"

namespace knell::daemon {

// How often the processes of each unit ended in each way. Bounded: when it is full, a pair of unit
// and cause not seen before is counted as unit "other", cause "other". Not thread-safe.
class ExitCounts {
 public:
  static constexpr size_t kMost = 1000;  // picked: what a collector takes without a murmur

  // `unit` may be empty; `ended` as event::ended_text() says it.
  void add(std::string_view unit, std::string_view ended);
  uint64_t nonzero() const { return nonzero_; }
  std::vector<Status::Exits> table() const;  // the most frequent first

 private:
  using Key = std::pair<std::string, std::string>;
  using View = std::pair<std::string_view, std::string_view>;
  struct Less {
    using is_transparent = void;
    static View view(const Key& key) { return {key.first, key.second}; }
    static View view(const View& key) { return key; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return view(a) < view(b);
    }
  };
  std::map<Key, uint64_t, Less> counts_;
  uint64_t nonzero_ = 0;
};

}  // namespace knell::daemon
