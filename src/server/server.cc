// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "wire/protocol.h"

namespace knell::server {
namespace {

constexpr uint64_t kListeningTag = 0;  // ids of clients begin at 1
// A turn, after which the sources are read again: whatever clients ask for, events do not wait
// longer. Few at a time are asked of epoll, which then takes them round in turns. Picked, never
// tuned.
constexpr uint64_t kTurnNs = 5'000'000;
constexpr int kMostWakeups = 64, kWakeupsAtOnce = 8;
constexpr int kMostAccepts = 16;            // at a time: who is connected comes first
constexpr uint64_t kPauseNs = 100'000'000;  // when nobody could even be turned away

UniqueFd open_spare() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

Server::Server(UniqueFd listening, UniqueFd epoll, UniqueFd spare, const ServerOptions& options,
               hub::Hub& hub, Wiring& wiring)
    : listening_(std::move(listening)),
      epoll_(std::move(epoll)),
      spare_(std::move(spare)),
      options_(options),
      hub_(hub),
      wiring_(wiring) {}

Server::~Server() {
  for (auto& [id, client] : clients_) client->dismiss(0, "knelld ends");
}

Result<std::unique_ptr<Server>> Server::create(UniqueFd listening, const ServerOptions& options,
                                               hub::Hub& hub, Wiring& wiring) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("make an epoll descriptor");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListeningTag;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listening.get(), &event) != 0)
    return errno_error("poll the listening socket");
  return std::unique_ptr<Server>(
      new Server(std::move(listening), std::move(epoll), open_spare(), options, hub, wiring));
}

void Server::serve() {
  const uint64_t now = clock_.monotonic_ns();
  if (accept_again_ns_ != 0 && now >= accept_again_ns_) accept();
  const uint64_t until = now + kTurnNs;
  serve_due(now, until);
  serve_clients(now, until);
  remove_gone();
  flush();
}

// Each once: who has more to be sent than one turn's worth is due again at once.
void Server::serve_due(uint64_t now_ns, uint64_t until_ns) {
  std::vector<uint64_t> ids;
  for (const auto& [at, id] : due_) {
    if (at > now_ns) break;
    ids.push_back(id);
  }
  for (const uint64_t id : ids) {
    due_.erase({due_of_.at(id), id});
    due_of_.erase(id);
    Client& client = *clients_.at(id);
    client.release(now_ns);
    send(client, now_ns, Client::Due::kAsItIs);
    if (clock_.monotonic_ns() >= until_ns) return;
  }
}

void Server::serve_clients(uint64_t now_ns, uint64_t until_ns) {
  std::array<epoll_event, kWakeupsAtOnce> events;
  for (int served = 0; served < kMostWakeups;) {
    const int n = ::epoll_wait(epoll_.get(), events.data(), kWakeupsAtOnce, 0);
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == kListeningTag)
        accept();
      else
        serve_client(event.data.u64, event.events, now_ns, until_ns);
    }
    if (n < kWakeupsAtOnce || clock_.monotonic_ns() >= until_ns) return;
    served += n;
  }
}

void Server::watch_listening(bool watched) {
  epoll_event event{};
  event.events = watched ? uint32_t{EPOLLIN} : 0;
  event.data.u64 = kListeningTag;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listening_.get(), &event);
}

void Server::accept() {
  if (std::exchange(accept_again_ns_, 0) != 0) watch_listening(true);
  for (int i = 0; i < kMostAccepts; ++i) {
    UniqueFd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      take_in(std::move(socket));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
      return refuse_one();
    if (errno != ECONNABORTED && errno != EINTR) return;
  }
}

// One who waits in vain keeps the listening socket readable, so that we would spin.
void Server::refuse_one() {
  spare_.reset();
  {
    const UniqueFd socket(
        ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      const std::string bye =
          wire::encode(wire::Bye{.error = EMFILE, .text = "knelld has no descriptors left"}, 0);
      (void)!::send(socket.get(), bye.data(), bye.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      ++refused_;
    } else {
      accept_again_ns_ = clock_.monotonic_ns() + kPauseNs;
      watch_listening(false);
    }
  }
  spare_ = open_spare();
}

void Server::take_in(UniqueFd socket) {
  auto peer = Peer::of(socket.get(), options_.visibility, clock_);
  if (!peer) {
    ++refused_;
    // Its own code: whether it may come again goes by that.
    const std::string bye =
        wire::encode(wire::Bye{.error = peer.error().code, .text = peer.error().message()}, 0);
    (void)!::send(socket.get(), bye.data(), bye.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return;
  }
  auto made = Client::create(std::move(socket), *std::move(peer), hub_, wiring_, next_id_,
                             options_.requests_per_second);
  if (!made) {
    ++refused_;
    return;
  }
  Client& client = **made;
  epoll_event event{};
  event.events = client.polled = EPOLLIN;
  event.data.u64 = next_id_;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.fd(), &event) != 0) return;
  clients_.emplace(next_id_++, *std::move(made));
}

void Server::serve_client(uint64_t id, uint32_t happened, uint64_t now_ns, uint64_t until_ns) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client& client = *found->second;
  Life life = Life::kOn;
  // What it asked before it hung up is still served: it may only have stopped talking.
  if ((happened & EPOLLIN) != 0) life = client.receive(now_ns, until_ns);
  if (life == Life::kOn && (happened & (EPOLLHUP | EPOLLERR)) != 0) life = Life::kOver;
  if (life == Life::kOn && (happened & EPOLLOUT) != 0) {
    client.unblock();
    life = client.send(now_ns, Client::Due::kNow);
  }
  after(client, life);
}

void Server::send(Client& client, uint64_t now_ns, Client::Due due) {
  after(client, client.send(now_ns, due));
}

void Server::after(Client& client, Life life) {
  if (life == Life::kOver) {
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.fd(), nullptr);  // nothing more of it
    gone_.push_back(client.id());
    return;
  }
  poll(client);
  schedule(client);
}

void Server::poll(Client& client) {
  const bool listen = client.held_until_ns() == 0 && !client.deaf();
  const uint32_t wanted =
      (listen ? uint32_t{EPOLLIN} : 0) | (client.blocked() ? uint32_t{EPOLLOUT} : 0);
  if (wanted == client.polled) return;
  epoll_event event{};
  event.events = client.polled = wanted;
  event.data.u64 = client.id();
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.fd(), &event);
}

void Server::schedule(Client& client) {
  uint64_t at = client.due_ns();
  const uint64_t held = client.held_until_ns();
  if (held != 0 && (at == 0 || held < at)) at = held;
  const auto known = due_of_.find(client.id());
  if (known != due_of_.end()) {
    if (known->second == at) return;
    due_.erase({known->second, client.id()});
    due_of_.erase(known);
  }
  if (at == 0) return;
  due_.emplace(at, client.id());
  due_of_.emplace(client.id(), at);
}

void Server::flush() {
  const uint64_t now = clock_.monotonic_ns();
  hub_.fresh([&](hub::Listener& listener) {
    send(*static_cast<Client*>(listener.owner()), now, Client::Due::kAsItIs);
  });
  remove_gone();
}

void Server::remove_gone() {
  if (gone_.empty()) return;
  for (const uint64_t id : gone_) {
    if (const auto due = due_of_.find(id); due != due_of_.end()) {
      due_.erase({due->second, id});
      due_of_.erase(due);
    }
    clients_.erase(id);
  }
  gone_.clear();
  wiring_.interest_shrunk();
}

uint64_t Server::due_ns() const {
  uint64_t at = accept_again_ns_;
  if (!due_.empty() && (at == 0 || due_.begin()->first < at)) at = due_.begin()->first;
  return at;
}

void Server::set_options(const ServerOptions& options) {
  options_ = options;
  for (auto& [id, client] : clients_) client->set_requests_per_second(options.requests_per_second);
}

}  // namespace knell::server
