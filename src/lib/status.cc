// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <knell/knell.h>

#include <cerrno>
#include <string>

#include "client/connection_to_server.h"
#include "lib/abi.h"

namespace knell::lib {
namespace {

Result<std::string> ask_for_status() {
  const std::string path = client::socket_path();
  if (path.empty())
    return say(ENOENT, "KNELL_SOCKET is empty, which disables the daemon; unset it");
  KNELL_ASSIGN(auto connection, client::ConnectionToServer::connect(path));
  KNELL_TRY(connection.exchange_hellos());
  return connection.status();
}

}  // namespace
}  // namespace knell::lib

ssize_t knell_status(char* buffer, size_t size) {
  return knell::lib::guarded([&]() -> ssize_t {
    const auto json = knell::lib::ask_for_status();
    if (!json) return knell::lib::store_error(json.error());
    return knell::lib::copy_to_buffer(*json, buffer, size);
  });
}
