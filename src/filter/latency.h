// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace knell::filter {

// How long events may be delayed so that one wakeup serves several, ns; 0: not at all. A single
// event is never delayed. `under_load_ns` is the limit while many events come, and not below `ns`;
// see source/pacing.cc.
struct Latency {
  int64_t ns = 0;
  int64_t under_load_ns = 0;
  static constexpr Latency fixed(int64_t ns) { return {ns, ns}; }
  bool operator==(const Latency&) const = default;
};

// What two listeners of one source allow.
constexpr Latency join(const Latency& a, const Latency& b) {
  return {std::min(a.ns, b.ns), std::min(a.under_load_ns, b.under_load_ns)};
}

}  // namespace knell::filter
