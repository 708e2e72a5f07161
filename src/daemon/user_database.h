// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/subordinate_uids.h"

namespace knell::daemon {

struct UserIds {
  uid_t uid;
  gid_t gid;  // its first group
};

// nullopt: no such user or group, or the lookup failed. May query a network server, so do not call
// these while handling events.
std::optional<UserIds> find_user(const std::string& name);
std::optional<gid_t> find_group(const std::string& name);

// Parses which users own which ranges of uids, in the format of subuid(5): lines of
// NAME-OR-UID:FIRST:COUNT. Malformed lines and unknown names are ignored; `find` looks up a name.
std::vector<hub::SubordinateUids::Range> parse_subordinate_uids(
    std::string_view text, const std::function<std::optional<uid_t>(const std::string&)>& find);
// Reads /etc/subuid; empty if it cannot be read. Looks up user names, so call it only at start and
// reload.
hub::SubordinateUids read_subordinate_uids();

}  // namespace knell::daemon
