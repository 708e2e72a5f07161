// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

namespace knell::filter {

// How long events may be delayed so that one wakeup serves several of them, in ns; 0: no delay. A
// single event is never delayed. `under_load_ns` is the limit during a high rate of events, and not
// below `ns`; see source/pacing.cc.
struct Latency {
  int64_t ns = 0;
  int64_t under_load_ns = 0;
  static constexpr Latency fixed(int64_t ns) { return {ns, ns}; }
  bool operator==(const Latency&) const = default;
};

// The latency that satisfies two listeners of one source.
constexpr Latency join(const Latency& a, const Latency& b) {
  return {std::min(a.ns, b.ns), std::min(a.under_load_ns, b.under_load_ns)};
}

}  // namespace knell::filter
