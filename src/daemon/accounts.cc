// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/accounts.h"

#include <grp.h>
#include <pwd.h>

namespace knell::daemon {
namespace {

constexpr size_t kRoom = 65536;  // picked: a group with some thousands of members

}  // namespace

std::optional<Account> find_user(const std::string& name) {
  std::string room(kRoom, '\0');
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return Account{entry.pw_uid, entry.pw_gid};
}

std::optional<gid_t> find_group(const std::string& name) {
  std::string room(kRoom, '\0');
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, room.data(), room.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return entry.gr_gid;
}

}  // namespace knell::daemon
