// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/owners.h"

namespace knell::daemon {

struct Account {
  uid_t uid;
  gid_t gid;  // its first group
};

// nullopt: there is none of that name, or it cannot be found out. They may ask a server: not for
// the path of events.
std::optional<Account> find_user(const std::string& name);
std::optional<gid_t> find_group(const std::string& name);

// Which uids were given to which users, as subuid(5) has it: lines of NAME-OR-UID:FIRST:COUNT. What
// is none of those, and names that nobody has, are passed over; `find` looks them up.
std::vector<hub::Owners::Range> parse_subordinate_uids(
    std::string_view text, const std::function<std::optional<uid_t>(const std::string&)>& find);
// Of /etc/subuid; none where that cannot be read. For the start and a reload: names are asked for.
hub::Owners read_owners();

}  // namespace knell::daemon
