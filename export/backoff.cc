// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/backoff.h"

#include <algorithm>

namespace knell::exporter {

Backoff::Milliseconds Backoff::next(std::optional<Milliseconds> asked) {
  std::uniform_int_distribution<int64_t> between(step_.count() / 2, step_.count());
  const Milliseconds own(between(random_));
  step_ = std::min(2 * step_, kMost);
  if (!asked) return own;
  // Jitter also here: all hosts that an endpoint turned away got the same number.
  const Milliseconds least = std::min(*asked, kMostAsked);
  return std::max(own, least + own / 10);
}

}  // namespace knell::exporter
