// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace knell::source {

// Where dying processes cannot be read, the programs keep the args and the path of each from its
// exec on. Gives them those of the processes that are there already, from /proc. The programs must
// be attached: what they know by themselves is newer, and stays.
void seed_births(int map_fd);

}  // namespace knell::source
