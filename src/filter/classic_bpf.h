// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace knell::filter {

// The released rule as a classic BPF program for SO_ATTACH_FILTER on a connector socket: what
// kernels without the filter run instead of it. Attach before bind: nothing unfiltered ever queues.
// Attaching again replaces it at once. `acks`: whether acks (everybody's, the kernel multicasts
// them) come through.
// `forks`: births of processes may be left out. Empty: everything passes, attach none.
enum class Forks { kAll, kOfThreads };
std::vector<sock_filter> connector_filter(uint32_t mask, bool acks, Forks forks = Forks::kAll);

// For the probe's socket: acks and nothing else.
std::vector<sock_filter> only_acks_filter();

}  // namespace knell::filter
