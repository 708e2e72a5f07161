// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

namespace knell::watch {

// Names of users, each asked for once: the first sight of a uid may ask a directory server, later
// ones cost a look-up. Forgets all when it holds kMost, so that a renamed user does not stay for
// ever on a machine of many.
class UserNames {
 public:
  static constexpr size_t kMost = 4096;  // picked, never tuned
  // nullptr: no such user.
  std::shared_ptr<const std::string> name(uint32_t uid);

 private:
  std::unordered_map<uint32_t, std::shared_ptr<const std::string>> names_;
};

}  // namespace knell::watch
