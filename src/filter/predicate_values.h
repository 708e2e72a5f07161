// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knell::filter {

enum class Key {
  kPid,
  kUnder,
  kComm,
  kExe,
  kUid,
  kUnit,
  kCgroup,
  kContainer,
  kTty,
  kEnded,
  kLonger,
  kShorter,
};

// The words of predicates to what they stand for. Errors of all: EINVAL, a whole sentence that
// begins with the key as it was written, `name`, and says what would be right.

// "unit" to kUnit; several names may be one key.
Result<Key> parse_key(std::string_view name);
Result<int64_t> parse_pid(std::string_view name, std::string_view value);
// A number. Nothing here asks a user database: the daemon reads what any client sends it.
Result<int64_t> parse_uid(std::string_view name, std::string_view value);
Result<int64_t> parse_nanoseconds(std::string_view name, std::string_view value);
// An absolute path, without slashes at its end.
Result<std::string> parse_cgroup(std::string_view name, std::string_view value);
// What the kernel keeps of a longer name, so that it can match.
std::string comm_pattern(std::string_view value);

}  // namespace knell::filter
