// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

namespace knell::process {

// A cache of user names: the first look-up of a uid may ask a directory server and wait, later ones
// do not. Cleared when it holds kMost names, so that the old name of a renamed user does not stay
// for ever. Not thread-safe.
class UserNames {
 public:
  static constexpr size_t kMost = 4096;  // chosen, not measured
  using Name = std::shared_ptr<const std::string>;
  // The name of the user; nullptr: there is no such user. Valid until the next call.
  const Name& find(uint32_t uid);
  // From now on no names are looked up. For callers that must not wait.
  void disable() { enabled_ = false; }

 private:
  Name look_up(uint32_t uid) const;

  bool enabled_ = true;
  std::unordered_map<uint32_t, Name> names_;
  // The result of the last call, which the next call often needs again
  const std::pair<const uint32_t, Name>* last_ = nullptr;
};

}  // namespace knell::process
