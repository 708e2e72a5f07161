// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/user_names.h"

#include <pwd.h>

#include <vector>

namespace knell::watch {

std::shared_ptr<const std::string> UserNames::name(uint32_t uid) {
  if (const auto known = names_.find(uid); known != names_.end()) return known->second;
  if (names_.size() >= kMost) names_.clear();
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  std::shared_ptr<const std::string> name;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    name = std::make_shared<const std::string>(found->pw_name);
  return names_[uid] = name;
}

}  // namespace knell::watch
