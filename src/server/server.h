// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "handover/handover.h"
#include "hub/hub.h"
#include "server/connection_from_client.h"
#include "server/daemon_interface.h"
#include "server/peer.h"
#include "server/request_scheduler.h"
#include "server/saved_clients.h"

namespace knell::server {

struct ServerOptions {
  Visibility visibility;
  uint32_t requests_per_second = 1000;  // of one client
};

// All the clients of one listening socket. Belongs to one thread; never blocks.
//
//   create() -> { poll fd(), until due_ns(); serve(); after anything was published: flush() }*
class Server {
 public:
  // `listening`: SOCK_SEQPACKET, non-blocking. `hub` and `daemon` must outlive the server.
  static Result<std::unique_ptr<Server>> create(UniqueFd listening, const ServerOptions& options,
                                                hub::Hub& hub, DaemonInterface& daemon);
  ~Server();

  int fd() const { return epoll_.get(); }
  // Accepts connections, serves requests, sends where a socket has room again. Bounded in time.
  void serve();
  // Sends the events and answers that are new and due.
  void flush();
  // To be called after ConnectionFromClient::finish_durable().
  void resume(ConnectionFromClient& client) { update_client(client, Life::kOpen); }
  // When to call serve() even if fd() is not readable; CLOCK_MONOTONIC, 0: never.
  uint64_t due_ns() const;

  // Keeps in `handover` what the next server needs, from now on; it must outlive the server.
  void keep_in(handover::Handover& handover);
  // Takes over the clients of the earlier daemon. Returns the number of those that could not be.
  size_t restore(handover::Handover& handover, SavedClients& saved);
  // When the sources have the interest of these clients: serves the requests that were being
  // served.
  void resume(const handover::State& state, const SavedClients& saved);
  // Sends no BYE at the end.
  void leave_quietly() { quiet_ = true; }
  // Appends to the state what has changed; `whole`: everything.
  void save(bool whole);

  // Connected clients get the new rate of requests, but keep their scope.
  void set_options(const ServerOptions& options);
  template <class F>
  void for_each(F visit) const {
    for (const auto& [id, client] : clients_)
      if (!client->gone) visit(*client);
  }
  size_t clients() const { return clients_.size() - gone_.size(); }
  uint64_t refused() const { return refused_; }
  // Maxima of this thread's CPU time, which does not depend on the load of the machine: of one
  // step() for a client of a user other than root, and of one call of serve(), during which no
  // source is read.
  struct Longest {
    uint64_t request_ns = 0, turn_ns = 0;
  };
  const Longest& longest() const { return longest_; }

 private:
  using Client = ConnectionFromClient;
  using Life = Client::Life;
  struct PendingConnection {
    UniqueFd socket;
    uint32_t owner = 0;
  };

  Server(UniqueFd listening, UniqueFd epoll, UniqueFd spare, const ServerOptions& options,
         hub::Hub& hub, DaemonInterface& daemon);
  void accept();
  void refuse_one();
  void refuse(int socket, const Error& error);
  void watch_listening(bool watched);
  void admit(UniqueFd socket);
  void add_client(uint64_t id, UniqueFd socket);
  bool poll_client(Client& client);
  void store(uint64_t id, int socket);
  void forget(uint64_t id);
  void serve_due(uint64_t now_ns);
  void poll_clients(uint64_t now_ns);
  void on_ready(uint64_t id, uint32_t happened, uint64_t now_ns);
  void serve_requests();
  void serve_one(const RequestScheduler::Pick& pick, uint64_t now_ns);
  void make_ready(Client& client, uint64_t now_ns);
  void update_client(Client& client, Life life);
  void send(Client& client, uint64_t now_ns, Client::Due due);
  void update_epoll(Client& client);
  void schedule(Client& client);
  void unschedule(uint64_t id);
  void unfollow_abandoned();
  void remove_gone();

  UniqueFd listening_, epoll_;
  UniqueFd spare_;  // closed to accept and refuse a connection when no other descriptor is left
  ServerOptions options_;
  hub::Hub& hub_;
  DaemonInterface& daemon_;
  Clock& clock_ = system_clock();
  std::unordered_map<uint64_t, std::unique_ptr<Client>> clients_;
  // Accepted connections whose Peer is not known yet, by id; and their number for each owner.
  std::unordered_map<uint64_t, PendingConnection> pending_;
  std::unordered_map<uint32_t, size_t> pending_of_;
  std::set<std::pair<uint64_t, uint64_t>> due_;    // time and client id
  std::unordered_map<uint64_t, uint64_t> due_of_;  // client id to time
  RequestScheduler scheduler_;
  handover::Handover* handover_ = nullptr;
  bool quiet_ = false;
  std::deque<uint64_t> gone_;         // still in clients_
  bool has_abandoned_nodes_ = false;  // Hub::remove_abandoned_added() has more to do
  Longest longest_;
  uint64_t next_id_ = 1, refused_ = 0;
  // No descriptors are left: accept no connection until this time; 0: accept
  uint64_t accept_again_ns_ = 0;
};

}  // namespace knell::server
