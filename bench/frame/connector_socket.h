// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/cn_proc.h>

#include <cstdint>
#include <optional>

#include "base/unique_fd.h"
#include "bench/frame/contender.h"

namespace knell::bench {

// The connector as a program uses it that knows nothing of knell.
//
// Bound, not asked for anything yet. `buffer_bytes` 0: the room the kernel gives by itself. Empty,
// with errno set, where there is no connector.
UniqueFd open_connector(int buffer_bytes);

// Asks for the events of `mask` (KNELL_MCAST_LISTEN), or takes that back (KNELL_MCAST_IGNORE). To
// be taken back before the socket is closed: the kernel does not count listeners down by itself.
bool ask_connector(int sock, Request kind, uint32_t op, uint32_t mask, uint32_t nonce = 0);

// The next event. nullopt, and errno: ENOBUFS, some were lost; EAGAIN; 0, something else came.
std::optional<knell_proc_event> receive_event(int sock);

}  // namespace knell::bench
