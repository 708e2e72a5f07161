// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "compat/settings.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace knell::compat {
namespace {

constexpr char kDefaultSocket[] = "/run/knell/knell.sock";

Settings read_once;
std::atomic<bool> ready = false;

bool is(const char* name, const char* value) {
  const char* found = std::getenv(name);
  return found != nullptr && std::strcmp(found, value) == 0;
}

// Runs before main(), which may change the environment.
[[gnu::constructor]] void read_all() {
  Settings now;
  now.direct = is("KNELL_COMPAT_DIRECT", "1");
  now.as_root = is("KNELL_COMPAT_AS_ROOT", "1");
  if (is("KNELL_COMPAT_RULE", "v6")) now.rule = filter::Rule::kV6;
  const char* path = std::getenv("KNELL_SOCKET");
  if (path == nullptr) path = kDefaultSocket;
  now.daemon.sun_family = AF_UNIX;
  const size_t bytes = std::strlen(path);
  if (bytes != 0 && bytes < sizeof now.daemon.sun_path) {
    std::memcpy(now.daemon.sun_path, path, bytes + 1);
    now.daemon_bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + bytes + 1);
  }
  read_once = now;
  ready.store(true, std::memory_order_release);
}

}  // namespace

const Settings& settings() {
  if (!ready.load(std::memory_order_acquire)) read_all();
  return read_once;
}

}  // namespace knell::compat
