// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/user_numbers.h"

#include <pwd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "filter/predicate.h"

namespace knell::lib {
namespace {

// The longest entry of the user database that is read; chosen, not measured
constexpr size_t kMostPasswdBytes = size_t{1} << 20;

// nullopt: there is no such user.
Result<std::optional<int64_t>> uid_of(const std::string& user) {
  for (std::vector<char> buffer(1024); buffer.size() <= kMostPasswdBytes;
       buffer.resize(buffer.size() * 4)) {
    passwd entry{};
    passwd* found = nullptr;
    const int code = ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return std::optional<int64_t>(found->pw_uid);
    // The error codes of known systems for "no such user", besides 0.
    if (code == 0 || code == ENOENT || code == ESRCH || code == EBADF || code == EPERM)
      return std::nullopt;
    if (code != ERANGE && code != EINTR) return make_error(code, "look up the user '" + user + "'");
  }
  return make_error(ERANGE, "look up the user '" + user + "'");
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

Result<int64_t> parse_uid(std::string_view key, std::string_view word) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size() || number > filter::kMaxUid)
    return say(EINVAL, std::string(key) + ": '" + std::string(word) +
                           "' is not a user id (a number from 0 to 4294967294)");
  return number;
}

}  // namespace

Result<int64_t> user_number(std::string_view key, std::string_view word) {
  if (is_number(word) && key != "user") return parse_uid(key, word);
  if (word.find('\0') == std::string_view::npos) {
    KNELL_ASSIGN(const auto uid, uid_of(std::string(word)));
    if (uid) return *uid;
  }
  if (is_number(word)) return parse_uid(key, word);
  return say(EINVAL, std::string(key) + ": '" + std::string(word) +
                         "' is not a user of this machine (a name or a number)");
}

}  // namespace knell::lib
