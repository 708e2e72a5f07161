// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

namespace knell::watch {

// Names of users, each asked for once: the first sight of a uid may ask a directory server, later
// ones cost a look-up. Forgets all when it holds kMost, so that a renamed user does not stay for
// ever on a machine of many.
class UserNames {
 public:
  static constexpr size_t kMost = 4096;  // picked, never tuned
  using Name = std::shared_ptr<const std::string>;
  // nullptr: no such user. Good until the next call.
  const Name& name(uint32_t uid);
  // From now on no names are known. For one whom nobody may keep waiting.
  void ask_no_more() { asking_ = false; }

 private:
  Name ask(uint32_t uid) const;

  bool asking_ = true;
  std::unordered_map<uint32_t, Name> names_;
  const std::pair<const uint32_t, Name>* last_ = nullptr;  // mostly the next one's, too
};

}  // namespace knell::watch
