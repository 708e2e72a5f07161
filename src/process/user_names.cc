// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/user_names.h"

#include <pwd.h>

#include <vector>

namespace knell::process {

const UserNames::Name& UserNames::find(uint32_t uid) {
  if (last_ != nullptr && last_->first == uid) return last_->second;
  auto known = names_.find(uid);
  if (known == names_.end()) {
    last_ = nullptr;
    if (names_.size() >= kMost) names_.clear();
    known = names_.emplace(uid, look_up(uid)).first;
  }
  last_ = &*known;
  return last_->second;
}

UserNames::Name UserNames::look_up(uint32_t uid) const {
  if (!enabled_) return nullptr;
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return std::make_shared<const std::string>(found->pw_name);
  return nullptr;
}

}  // namespace knell::process
