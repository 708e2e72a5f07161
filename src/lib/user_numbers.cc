// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/user_numbers.h"

#include <pwd.h>

#include <cerrno>
#include <optional>
#include <ranges>
#include <vector>

#include "filter/predicate_values.h"

namespace knell::lib {
namespace {

constexpr size_t kMostPasswdBytes = size_t{1} << 20;  // of one entry; picked, never tuned

// nullopt: there is no such user.
Result<std::optional<int64_t>> uid_of(const std::string& user) {
  for (std::vector<char> buffer(1024); buffer.size() <= kMostPasswdBytes;
       buffer.resize(buffer.size() * 4)) {
    passwd entry{};
    passwd* found = nullptr;
    const int code = ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return std::optional<int64_t>(found->pw_uid);
    // These are what systems are known to say for "not there", beside 0.
    if (code == 0 || code == ENOENT || code == ESRCH || code == EBADF || code == EPERM)
      return std::nullopt;
    if (code != ERANGE && code != EINTR) return make_error(code, "look up the user '" + user + "'");
  }
  return make_error(ERANGE, "look up the user '" + user + "'");
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// `user` looks for a name first, `uid` for a number.
Result<int64_t> number_of(std::string_view key, std::string_view word) {
  if (is_number(word) && key != "user") return filter::parse_uid(key, word);
  if (word.find('\0') == std::string_view::npos) {
    KNELL_ASSIGN(const auto uid, uid_of(std::string(word)));
    if (uid) return *uid;
  }
  if (is_number(word)) return filter::parse_uid(key, word);
  return say(EINVAL, std::string(key) + ": '" + std::string(word) +
                         "' is no user on this machine (a name, or a number)");
}

}  // namespace

Result<std::string> user_numbers(std::string_view key, std::string_view values) {
  std::string numbers;
  bool first = true;
  for (const auto part : std::views::split(values, ',')) {
    std::string_view word(part.begin(), part.end());
    const auto trim = [&word] {
      while (word.starts_with(' ')) word.remove_prefix(1);
      while (word.ends_with(' ')) word.remove_suffix(1);
    };
    trim();
    if (!std::exchange(first, false)) numbers += ',';
    if (word.starts_with('!')) {
      numbers += '!';
      word.remove_prefix(1);
      trim();
    }
    if (word.empty()) continue;  // whoever takes the values says that one is missing
    KNELL_ASSIGN(const int64_t uid, number_of(key, word));
    numbers += std::to_string(uid);
  }
  return numbers;
}

}  // namespace knell::lib
