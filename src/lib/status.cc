// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <knell/knell.h>

#include <cerrno>
#include <string>

#include "client/connection_to_server.h"
#include "filter/predicate.h"
#include "journal/durable_name.h"
#include "lib/abi.h"

namespace knell::lib {
namespace {

Result<client::ConnectionToServer> connect() {
  const std::string path = client::socket_path();
  if (path.empty())
    return say(ENOENT, "KNELL_SOCKET is empty, which disables the daemon; unset it");
  KNELL_ASSIGN(auto connection, client::ConnectionToServer::connect(path));
  KNELL_TRY(connection.exchange_hellos());
  return connection;
}

Result<std::string> ask_for_status() {
  KNELL_ASSIGN(auto connection, connect());
  return connection.status();
}

Result<void> remove_durable(const char* name, int64_t owner) {
  if (name == nullptr) return say(EINVAL, "name must not be NULL");
  KNELL_TRY(journal::check_durable_name(name));
  wire::Forget forget{.name = name, .owner = {}};
  if (owner < -1 || owner > filter::kMaxUid) return say(EINVAL, "owner must be a uid, or -1");
  if (owner >= 0) forget.owner = static_cast<uint32_t>(owner);
  KNELL_ASSIGN(auto connection, connect());
  const uint32_t number = connection.next_seq();
  KNELL_TRY(connection.send(wire::encode(forget, number)));
  KNELL_ASSIGN(const wire::Ack ack, connection.await_ack(number, [](const wire::Frame&) {}));
  return client::as_result(ack);
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

int knell_remove_durable(const char* name, int64_t owner) {
  return knell::lib::guarded(
      [&]() -> int { return knell::lib::outcome(knell::lib::remove_durable(name, owner)); });
}
