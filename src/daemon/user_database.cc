// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/user_database.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <map>
#include <ranges>

#include "base/unique_fd.h"

namespace knell::daemon {
namespace {

constexpr size_t kRoom = 65536;  // chosen, not measured: a group with some thousands of members

}  // namespace

std::optional<UserIds> find_user(const std::string& name) {
  std::string room(kRoom, '\0');
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return UserIds{entry.pw_uid, entry.pw_gid};
}

std::optional<gid_t> find_group(const std::string& name) {
  std::string room(kRoom, '\0');
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, room.data(), room.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return entry.gr_gid;
}

std::vector<hub::SubordinateUids::Range> parse_subordinate_uids(
    std::string_view text, const std::function<std::optional<uid_t>(const std::string&)>& find) {
  std::vector<hub::SubordinateUids::Range> ranges;
  const auto number = [](std::string_view word) -> std::optional<uint32_t> {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
    return value;
  };
  std::map<std::string, std::optional<uid_t>, std::less<>> known;  // each name is looked up once
  for (const auto part : std::views::split(text, '\n')) {
    const std::string_view line(part.begin(), part.end());
    const size_t first_at = line.find(':'), count_at = line.find(':', first_at + 1);
    if (first_at == 0 || first_at == line.npos || count_at == line.npos) continue;
    const std::string_view name = line.substr(0, first_at);
    const auto first = number(line.substr(first_at + 1, count_at - first_at - 1));
    const auto count = number(line.substr(count_at + 1));
    if (!first || !count) continue;
    std::optional<uid_t> owner = number(name);
    if (!owner) {
      const auto [at, fresh] = known.try_emplace(std::string(name));
      if (fresh) at->second = find(at->first);
      owner = at->second;
    }
    if (owner) ranges.push_back({.first = *first, .count = *count, .owner = *owner});
  }
  return ranges;
}

hub::SubordinateUids read_subordinate_uids() {
  constexpr size_t kMostBytes = size_t{1}
                                << 20;  // chosen, not measured: tens of thousands of lines
  const UniqueFd file(::open("/etc/subuid", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) return {};
  std::string text(kMostBytes, '\0');
  const ssize_t size = ::pread(file.get(), text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return hub::SubordinateUids(parse_subordinate_uids(text, [](const std::string& name) {
    const auto user = find_user(name);
    return user ? std::optional<uid_t>(user->uid) : std::nullopt;
  }));
}

}  // namespace knell::daemon
