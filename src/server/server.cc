// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "wire/protocol.h"

namespace knell::server {
namespace {

constexpr uint64_t kListeningTag = 0;  // ids of clients begin at 1
// The limits of one call of serve(), after which the sources are read again, so that clients cannot
// delay events for longer. Serving ends with the request that exceeds kRequestsNs. That is CPU
// time, so that requests are handled on a busy machine too. These are chosen, not measured.
constexpr uint64_t kRequestsNs = 1'000'000, kSendNs = 1'000'000;
constexpr int kMostWakeups = 256, kWakeupsAtOnce = 32;
constexpr uint64_t kAcceptNs = 1'000'000;
constexpr size_t kMostGone = 32, kItemsATurn = 4096, kAbandonedATurn = 2048;
// Pause after a connection could be neither accepted nor refused
constexpr uint64_t kPauseNs = 100'000'000;

// The last sixteenth of the descriptors is reserved for root's connections.
bool is_among_the_last(int fd) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  return static_cast<rlim_t>(fd) >= limit.rlim_cur - limit.rlim_cur / 16;
}

UniqueFd open_spare() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

Server::Server(UniqueFd listening, UniqueFd epoll, UniqueFd spare, const ServerOptions& options,
               hub::Hub& hub, DaemonInterface& daemon)
    : listening_(std::move(listening)),
      epoll_(std::move(epoll)),
      spare_(std::move(spare)),
      options_(options),
      hub_(hub),
      daemon_(daemon) {}

Server::~Server() {
  if (quiet_) return;
  for (auto& [id, client] : clients_) client->send_bye(0, "knelld is stopping");
}

Result<std::unique_ptr<Server>> Server::create(UniqueFd listening, const ServerOptions& options,
                                               hub::Hub& hub, DaemonInterface& daemon) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return errno_error("create an epoll descriptor");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kListeningTag;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listening.get(), &event) != 0)
    return errno_error("poll the listening socket");
  return std::unique_ptr<Server>(
      new Server(std::move(listening), std::move(epoll), open_spare(), options, hub, daemon));
}

void Server::serve() {
  const uint64_t now = clock_.monotonic_ns(), began = thread_cpu_ns();
  daemon_.save();
  if (accept_again_ns_ != 0 && now >= accept_again_ns_) accept();
  serve_due(now);
  poll_clients(now);
  serve_requests();
  unfollow_abandoned();
  remove_gone();
  flush();
  longest_.turn_ns = std::max(longest_.turn_ns, thread_cpu_ns() - began);
}

// Sends to each client once: a client with more to send than one turn allows is due again
// immediately.
void Server::serve_due(uint64_t now_ns) {
  std::vector<uint64_t> ids;
  for (const auto& [at, id] : due_) {
    if (at > now_ns) break;
    ids.push_back(id);
  }
  for (const uint64_t id : ids) {
    unschedule(id);
    Client& client = *clients_.at(id);
    client.release(now_ns);
    send(client, now_ns, Client::Due::kIfDue);
    if (clock_.monotonic_ns() >= now_ns + kSendNs) return;
  }
}

// A client with a request enters the RequestScheduler and is not polled for reading until the
// request is handled.
void Server::poll_clients(uint64_t now_ns) {
  std::array<epoll_event, kWakeupsAtOnce> events;
  bool has_connection = false;
  for (int seen = 0; seen < kMostWakeups;) {
    const int n = ::epoll_wait(epoll_.get(), events.data(), kWakeupsAtOnce, 0);
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == kListeningTag)
        has_connection = true;
      else
        on_ready(event.data.u64, event.events, now_ns);
    }
    if (n < kWakeupsAtOnce) break;
    seen += n;
  }
  if (has_connection) accept();
}

void Server::on_ready(uint64_t id, uint32_t happened, uint64_t now_ns) {
  const auto found = clients_.find(id);
  if (found == clients_.end() || found->second->gone) return;
  Client& client = *found->second;
  const bool over = (happened & (EPOLLHUP | EPOLLERR)) != 0;
  // Requests that the client sent before it hung up are still handled, except snapshots.
  if (over && !client.is_listing() && (client.waits || (happened & EPOLLIN) != 0)) {
    client.hung_up = true;
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.fd(), nullptr);
  } else if (over) {
    return update_client(client, Life::kClose);
  }
  if ((happened & EPOLLIN) != 0 && !client.waits) make_ready(client, now_ns);
  if ((happened & EPOLLOUT) != 0) {
    client.unblock();
    return update_client(client, client.send(now_ns, Client::Due::kNow));
  }
  update_epoll(client);
}

void Server::serve_requests() {
  const uint64_t began = thread_cpu_ns();
  for (uint64_t spent = 0; spent < kRequestsNs; spent = thread_cpu_ns() - began) {
    const uint64_t now = clock_.monotonic_ns();
    const auto pick = scheduler_.next(now);
    if (!pick) return;
    serve_one(*pick, now);
  }
}

void Server::serve_one(const RequestScheduler::Pick& pick, uint64_t now_ns) {
  const uint64_t began = thread_cpu_ns();
  if (auto connection = pending_.extract(pick.client)) {
    const auto waiting = pending_of_.find(connection.mapped().owner);
    if (--waiting->second == 0) pending_of_.erase(waiting);
    add_client(pick.client, std::move(connection.mapped().socket));
    return scheduler_.done(pick, thread_cpu_ns() - began, RequestScheduler::Again::kNo, now_ns);
  }
  const auto found = clients_.find(pick.client);
  if (found == clients_.end() || found->second->gone)
    return scheduler_.done(pick, 0, RequestScheduler::Again::kNo, now_ns);
  Client& client = *found->second;
  const Client::Step step = client.step(now_ns);
  daemon_.save();
  const uint64_t cost = thread_cpu_ns() - began;
  if (pick.owner != 0) longest_.request_ns = std::max(longest_.request_ns, cost);
  client.waits = step == Client::Step::kMore && !(client.hung_up && client.is_listing());
  scheduler_.done(pick, cost,
                  client.waits ? RequestScheduler::Again::kYes : RequestScheduler::Again::kNo,
                  now_ns);
  if (client.waits) return schedule(client);
  // Acknowledgements that the client sent before it hung up are still handled.
  const bool over = step == Client::Step::kClose || (client.hung_up && !client.awaits_journal());
  update_client(client, over ? Life::kClose : Life::kOpen);
}

void Server::watch_listening(bool watched) {
  epoll_event event{};
  event.events = watched ? uint32_t{EPOLLIN} : 0;
  event.data.u64 = kListeningTag;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listening_.get(), &event);
}

void Server::accept() {
  if (std::exchange(accept_again_ns_, 0) != 0) watch_listening(true);
  // Accepts many connections a turn: a refusal is cheap, and root's connection may be behind many
  // others.
  const uint64_t began = thread_cpu_ns();
  while (thread_cpu_ns() - began < kAcceptNs) {
    UniqueFd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      admit(std::move(socket));
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
      return refuse_one();
    if (errno != ECONNABORTED && errno != EINTR) return;
  }
}

// Without free descriptors, a connection in the backlog would keep the listening socket readable,
// and the loop would spin. So closes the spare descriptor, accepts one connection and refuses it.
void Server::refuse_one() {
  spare_.reset();
  {
    const UniqueFd socket(
        ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      const std::string bye = wire::encode(
          wire::Bye{.error = EMFILE, .text = "knelld has no file descriptors left"}, 0);
      (void)!::send(socket.get(), bye.data(), bye.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      ++refused_;
    } else {
      accept_again_ns_ = clock_.monotonic_ns() + kPauseNs;
      watch_listening(false);
    }
  }
  spare_ = open_spare();
}

void Server::refuse(int socket, const Error& error) {
  ++refused_;
  // The client uses the error code to decide whether to try again.
  const std::string bye = wire::encode(wire::Bye{.error = error.code, .text = error.message()}, 0);
  (void)!::send(socket, bye.data(), bye.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Peer::create() takes longer than accept(), so it runs in the turn of the connection's user. A
// connection of root is added immediately, even if many others wait.
void Server::admit(UniqueFd socket) {
  ucred who{};
  socklen_t bytes = sizeof who;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &bytes) != 0) return;
  const uint32_t owner = hub_.owner_of(who.uid);
  const auto waiting = pending_of_.find(owner);
  const hub::PendingConnections pending{
      .of_user = waiting == pending_of_.end() ? 0 : waiting->second, .of_all = pending_.size()};
  if (const auto may = hub_.may_connect(who.uid, pending); !may)
    return refuse(socket.get(), may.error());
  if (owner == 0) return add_client(next_id_++, std::move(socket));
  if (is_among_the_last(socket.get()))
    return refuse(socket.get(), {EMFILE, "knelld has too few file descriptors left", true});
  ++pending_of_[owner];
  pending_.emplace(next_id_, PendingConnection{.socket = std::move(socket), .owner = owner});
  scheduler_.ready(owner, next_id_++, clock_.monotonic_ns());
}

void Server::add_client(uint64_t id, UniqueFd socket) {
  auto peer = Peer::create(socket.get(), options_.visibility, clock_);
  if (!peer) return refuse(socket.get(), peer.error());
  auto made = Client::create(std::move(socket), *std::move(peer), hub_, daemon_, id,
                             options_.requests_per_second);
  if (!made) {
    ++refused_;
    return;
  }
  Client& client = **made;
  if (!poll_client(client)) return;
  if (handover_ != nullptr) {
    store(id, client.fd());
    client.keep_in(&*handover_->state);
    hub_.touch(const_cast<hub::Listener&>(client.listener()));
  }
  clients_.emplace(id, *std::move(made));
}

bool Server::poll_client(Client& client) {
  epoll_event event{};
  event.events = client.polled = EPOLLIN;
  event.data.u64 = client.id();
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.fd(), &event) == 0;
}

void Server::send(Client& client, uint64_t now_ns, Client::Due due) {
  update_client(client, client.send(now_ns, due));
}

void Server::update_client(Client& client, Life life) {
  if (client.gone) return;
  if (life == Life::kClose) {
    client.gone = true;
    // No further events of this client
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, client.fd(), nullptr);
    unschedule(client.id());
    gone_.push_back(client.id());
    return;
  }
  // A request that waited until the client read its answers continues.
  if (client.has_work() && !client.waits) make_ready(client, clock_.monotonic_ns());
  update_epoll(client);
  schedule(client);
  if (client.is_durable() && !client.has_too_many_answers()) daemon_.continue_durable(client);
}

void Server::make_ready(Client& client, uint64_t now_ns) {
  client.waits = true;
  scheduler_.ready(client.listener().account().owner, client.id(), now_ns);
}

void Server::update_epoll(Client& client) {
  const bool listen = client.held_until_ns() == 0 && !client.has_too_many_answers() &&
                      !client.waits && !client.awaits_journal();
  const uint32_t wanted =
      (listen ? uint32_t{EPOLLIN} : 0) | (client.blocked() ? uint32_t{EPOLLOUT} : 0);
  if (wanted == client.polled || client.hung_up) return;
  epoll_event event{};
  event.events = client.polled = wanted;
  event.data.u64 = client.id();
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.fd(), &event);
}

void Server::unschedule(uint64_t id) {
  const auto known = due_of_.find(id);
  if (known == due_of_.end()) return;
  due_.erase({known->second, id});
  due_of_.erase(known);
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

// Clients that do not fit in the time of this turn are scheduled for the next turn.
void Server::flush() {
  daemon_.save();
  const uint64_t now = clock_.monotonic_ns();
  size_t sent = 0;
  bool late = false;
  hub_.fresh([&](hub::Listener& listener) {
    constexpr size_t kLooks = 16;
    if (++sent % kLooks == 0 && !late) late = clock_.monotonic_ns() >= now + kSendNs;
    Client& client = *static_cast<Client*>(listener.owner());
    if (client.gone) return;
    if (late)
      schedule(client);
    else
      send(client, now, Client::Due::kIfDue);
  });
}

// Removes the added processes of subscriptions that no longer exist.
void Server::unfollow_abandoned() {
  has_abandoned_nodes_ =
      !hub_.remove_abandoned_added(kAbandonedATurn, [this](int32_t pid) { daemon_.unfollow(pid); });
}

// In pieces: a client may have a long queue, and many clients may disconnect at once.
void Server::remove_gone() {
  if (gone_.empty()) return;
  for (size_t i = 0; i < kMostGone && !gone_.empty(); ++i) {
    const auto found = clients_.find(gone_.front());
    if (!found->second->drop_queue(kItemsATurn)) break;
    forget(found->first);
    clients_.erase(found);
    gone_.pop_front();
  }
  daemon_.interest_shrunk();
}

uint64_t Server::due_ns() const {
  if (!gone_.empty() || has_abandoned_nodes_) return 1;
  uint64_t at = accept_again_ns_;
  const auto no_later_than = [&at](uint64_t other) {
    if (other != 0 && (at == 0 || other < at)) at = other;
  };
  if (!due_.empty()) no_later_than(due_.begin()->first);
  no_later_than(scheduler_.due_ns());
  return at;
}

void Server::set_options(const ServerOptions& options) {
  options_ = options;
  for (auto& [id, client] : clients_) client->set_requests_per_second(options.requests_per_second);
}

}  // namespace knell::server
