// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The clients of a server that is restarted: see docs/design/restart.md.
#include <sys/epoll.h>

#include <charconv>

#include "server/server.h"
#include "wire/protocol.h"

namespace knell::server {
namespace {

constexpr std::string_view kPrefix = "client.";

std::string name_of(uint64_t id) { return std::string(kPrefix) + std::to_string(id); }

uint64_t id_of(std::string_view name) {
  name.remove_prefix(kPrefix.size());
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  return error == std::errc() && end == name.data() + name.size() ? id : 0;
}

}  // namespace

void Server::store(uint64_t id, int socket) {
  // Polled: the keeper drops the connection of a client that has gone.
  handover_->keeper.store(name_of(id), socket, handover::Keeper::Poll::kYes);
}

void Server::forget(uint64_t id) {
  if (handover_ == nullptr) return;
  handover_->keeper.remove(name_of(id));
  handover_->state->append(kSavedGone, {reinterpret_cast<const char*>(&id), sizeof id});
}

void Server::keep_in(handover::Handover& handover) {
  handover_ = &handover;
  hub_.track_changes();
  for (auto& [id, client] : clients_) client->keep_in(&*handover.state);
}

void Server::save(bool whole) {
  hub_.changed([&](hub::Listener& listener, bool resubscribed,
                   std::span<const hub::Node::AddedChange> added) {
    Client& client = *static_cast<Client*>(listener.owner());
    if (client.gone) return;
    if (client.stop_keeping()) forget(client.id());
    if (!whole) client.save(false, resubscribed, added);
  });
  if (!whole) return;
  for (auto& [id, client] : clients_)
    if (!client->gone) client->save(true, true, {});
}

// A connection without a record was accepted by the earlier daemon, which read nothing from it.
size_t Server::restore(handover::Handover& handover, SavedClients& saved) {
  size_t failed = 0;
  for (const std::string& name : handover.keeper.names(kPrefix)) {
    UniqueFd socket = handover.keeper.take(name);
    const uint64_t id = id_of(name);
    if (id == 0 || clients_.contains(id)) continue;
    next_id_ = std::max(next_id_, id + 1);
    const auto known = saved.all().find(id);
    if (known == saved.all().end()) {
      add_client(id, std::move(socket));
      continue;
    }
    auto peer = Peer::create(socket.get(), options_.visibility, clock_);
    auto made = peer ? Client::restore(std::move(socket), *std::move(peer), hub_, daemon_,
                                       std::move(known->second), *handover.state,
                                       options_.requests_per_second)
                     : std::unexpected(std::move(peer).error());
    if (made && poll_client(**made)) {
      clients_.emplace(id, *std::move(made));
      continue;
    }
    handover.keeper.remove(name);
    // The client has exited: nothing is lost.
    failed += !made && made.error().code == ESRCH ? 0 : 1;
  }
  return failed;
}

void Server::resume(const handover::State& state, const SavedClients& saved) {
  for (auto& [id, client] : clients_) {
    client->resume();
    if (client->has_work()) make_ready(*client, clock_.monotonic_ns());
  }
  const auto request = state.unserved(saved.last_received().serial);
  if (!request) return;
  const auto found = clients_.find(request->owner);
  if (found == clients_.end()) return;
  const std::string packet(request->packet);
  if (found->second->serve_received(packet) == Life::kClose)
    update_client(*found->second, Life::kClose);
  else if (found->second->has_work())
    make_ready(*found->second, clock_.monotonic_ns());
}

}  // namespace knell::server
