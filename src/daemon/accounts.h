// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace knell::daemon {

struct Account {
  uid_t uid;
  gid_t gid;  // its first group
};

// nullopt: there is none of that name, or it cannot be found out. They may ask a server: not for
// the path of events.
std::optional<Account> find_user(const std::string& name);
std::optional<gid_t> find_group(const std::string& name);

}  // namespace knell::daemon
