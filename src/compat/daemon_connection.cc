// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "compat/daemon_connection.h"

#include <poll.h>
#include <sched.h>
#include <sys/timerfd.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "compat/libc.h"
#include "compat/request.h"
#include "compat/settings.h"
#include "compat/stand_in.h"
#include "wire/frame.h"

namespace knell::compat {
namespace {

// Longer than any restart takes; chosen, not measured
constexpr int64_t kReconnectTimeoutMs = 60'000;
constexpr int64_t kSettledMs = 1'000;  // a connection that stays open this long was not refused
constexpr int kTryAgainMs = 100;

int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// The HELLO of the shim: version, rule of the filter, that it accepts overruns and wants no answer.
class Hello {
 public:
  Hello() {
    text(wire::kKnell, KNELL_VERSION);
    number(wire::kRule, settings().rule == filter::Rule::kV6 ? 1 : 0);
    number(wire::kOverrun, 1);
    number(wire::kQuiet, 1);
    nlmsghdr netlink{};
    netlink.nlmsg_len = static_cast<uint32_t>(size_);
    netlink.nlmsg_type = static_cast<uint16_t>(wire::Message::kHello);
    knell_cn_msg connector{};
    connector.idx = KNELL_CN_IDX_PROC;
    connector.val = wire::kVal;
    connector.len = static_cast<uint16_t>(size_ - kHeadersBytes);
    std::memcpy(bytes_, &netlink, sizeof netlink);
    std::memcpy(bytes_ + sizeof netlink, &connector, sizeof connector);
  }
  bool send(int fd) const {
    return libc().send(fd, bytes_, size_, MSG_NOSIGNAL) == static_cast<ssize_t>(size_);
  }

 private:
  void put(uint16_t type, const void* value, size_t bytes) {
    const nlattr header{.nla_len = static_cast<uint16_t>(sizeof(nlattr) + bytes), .nla_type = type};
    std::memcpy(bytes_ + size_, &header, sizeof header);
    std::memcpy(bytes_ + size_ + sizeof header, value, bytes);
    size_ += wire::attribute_bytes(bytes);
  }
  void number(uint16_t type, uint32_t value) { put(type, &value, sizeof value); }
  template <size_t N>
  void text(uint16_t type, const char (&value)[N]) {
    put(type, value, N - 1);
  }

  char bytes_[kHeadersBytes + 96] = {};
  size_t size_ = kHeadersBytes;
};

template <class Visit>
void for_each_epoll(Socket& socket, int fd, Visit visit) {
  for (Socket::Epoll& entry : socket.epolls) {
    if (entry.epoll >= 0 && entry.descriptor == fd) visit(entry);
  }
}

// Forgets descriptors that are another file now. They were closed by a function that the shim does
// not intercept, as fclose().
void drop_reused_descriptors(Socket& socket) {
  for (auto& place : socket.descriptors) {
    int fd = place.load();
    if (fd < 0 || socket.is(fd)) continue;
    socket.drop_epolls(-1, fd);
    if (find(fd) == &socket) forget_descriptor(fd);
    place.compare_exchange_strong(fd, -1);
  }
}

// Replaces all descriptors of the socket with `fresh`, and closes `fresh`. The caller must call
// drop_reused_descriptors() before.
void replace(Socket& socket, int fresh) {
  for (const auto& place : socket.descriptors) {
    const int fd = place.load();
    if (fd < 0) continue;
    const bool close_on_exec = (libc().fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
    for_each_epoll(socket, fd, [&](Socket::Epoll& entry) {
      // If the old file is still open elsewhere, its registration would remain for ever.
      libc().epoll_ctl(entry.epoll, EPOLL_CTL_DEL, fd, nullptr);
    });
    libc().dup3(fresh, fd, close_on_exec ? O_CLOEXEC : 0);
    for_each_epoll(socket, fd, [&](Socket::Epoll& entry) {
      libc().epoll_ctl(entry.epoll, EPOLL_CTL_ADD, fd, &entry.event);
    });
  }
  socket.take_identity(fresh);
  ++socket.generation;
  libc().close(fresh);
}

int status_flags(int fd) { return libc().fcntl(fd, F_GETFL) & O_NONBLOCK; }

bool send_request(int fd, const RequestBytes& request) {
  return libc().send(fd, request.bytes.data(), request.size, MSG_NOSIGNAL) ==
         static_cast<ssize_t>(request.size);
}

// Sends the pending request of the program, whose ack the program receives, and a LISTEN of the
// shim, whose ack shows from when on no event is missed.
bool repeat_requests(Socket& socket, int fresh) {
  if (socket.pending.size != 0 && !send_request(fresh, socket.pending)) return false;
  if (socket.listening) {
    const uint32_t nonce = own_nonce();
    socket.shim_ack = nonce + 1;
    if (!send_request(fresh, make_request({}, KNELL_MCAST_LISTEN,
                                          socket.with_mask ? std::optional<uint32_t>(socket.mask)
                                                           : std::nullopt,
                                          nonce)))
      return false;
    socket.resuming = true;
  }
  socket.pending = {};
  return true;
}

// Each timer has a different interval, which identifies its file; see Socket::is().
int make_timer(Socket& socket, int flags) {
  static std::atomic<uint32_t> counter = 0;
  constexpr uint32_t kDifferent = 1'000'000;
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, flags);
  if (timer < 0) return -1;
  const timespec interval{.tv_sec = 0,
                          .tv_nsec = kTryAgainMs * 1'000'000L +
                                     counter.fetch_add(1, std::memory_order_relaxed) % kDifferent};
  const itimerspec again{.it_interval = interval, .it_value = interval};
  ::timerfd_settime(timer, 0, &again, nullptr);
  socket.timer_ns = interval.tv_nsec;
  return timer;
}

// Makes the timer unreadable until the interval has passed again.
void rearm(const Socket& socket, int fd) {
  const timespec interval{.tv_sec = 0, .tv_nsec = socket.timer_ns};
  const itimerspec again{.it_interval = interval, .it_value = interval};
  ::timerfd_settime(fd, 0, &again, nullptr);
}

// Replaces the connection with a timer. If there is no free descriptor for it or for the stand-in,
// poll() returns at once until the daemon is back.
void replace_with_timer(Socket& socket, int fd) {
  if (!make_stand_in(socket, fd)) return;
  drop_reused_descriptors(socket);  // must be called before the identity of the socket changes
  const int timer = make_timer(socket, TFD_CLOEXEC | (status_flags(fd) != 0 ? TFD_NONBLOCK : 0));
  if (timer < 0) return drop_stand_in(socket);
  replace(socket, timer);
}

// Whether the last connection was closed at once, because the daemon has too many clients. The
// events missed since then belong to the loss that was reported before.
bool was_refused(const Socket& socket) {
  return socket.up_since_ms != 0 && !socket.daemon_answered &&
         now_ms() - socket.up_since_ms < kSettledMs;
}

void go_down(Socket& socket) {
  if (!was_refused(socket)) {
    socket.down_since_ms = now_ms();
    socket.loss_reported = false;
  }
  socket.down = true;
}

void report_loss(Socket& socket) {
  if (socket.loss_reported || !socket.listening) return;
  socket.loss_reported = true;
  if (!socket.no_enobufs) socket.overrun = true;
}

bool connect_again(Socket& socket, int fd) {
  const int fresh = connect_to_daemon(SOCK_CLOEXEC);
  if (fresh < 0) return false;
  const int options = socket.timer_ns == 0 ? fd : stand_in_of(socket);
  // Copied before LISTEN, so that the socket's filter sees all events
  if (options >= 0) copy_options(options, fresh);
  if (!repeat_requests(socket, fresh)) {
    libc().close(fresh);
    return false;
  }
  libc().fcntl(fresh, F_SETFL, status_flags(fd));
  socket.daemon_answered = false;
  drop_reused_descriptors(socket);
  replace(socket, fresh);
  socket.timer_ns = 0;
  drop_stand_in(socket);
  socket.down = false;
  socket.up_since_ms = now_ms();
  return true;
}

// How long a call may wait for the daemon: as long as it may wait for an event.
class WaitLimit {
 public:
  WaitLimit(Socket& socket, int fd, int flags) {
    timeval limit{};
    socklen_t bytes = sizeof limit;
    with_options(socket, fd, [&](int holder) {
      return libc().getsockopt(holder, SOL_SOCKET, SO_RCVTIMEO, &limit, &bytes);
    });
    if ((flags & MSG_DONTWAIT) != 0 || (libc().fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) {
      until_ms_ = 0;
    } else if (limit.tv_sec != 0 || limit.tv_usec != 0) {
      until_ms_ = now_ms() + int64_t{limit.tv_sec} * 1000 + limit.tv_usec / 1000;
    }
  }
  bool passed() const { return now_ms() >= until_ms_; }

 private:
  int64_t until_ms_ = INT64_MAX;
};

}  // namespace

int connect_to_daemon(int flags) {
  const Settings& wanted = settings();
  if (wanted.daemon_bytes == 0) {
    errno = ENOENT;
    return -1;
  }
  // A stopped or overloaded daemon with a full backlog counts as away: EAGAIN.
  const int fd = libc().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (libc().connect(fd, reinterpret_cast<const sockaddr*>(&wanted.daemon), wanted.daemon_bytes) !=
          0 ||
      !Hello().send(fd)) {
    const int error = errno;
    libc().close(fd);
    errno = error;
    return -1;
  }
  if ((flags & SOCK_CLOEXEC) == 0) libc().fcntl(fd, F_SETFD, 0);
  if ((flags & SOCK_NONBLOCK) == 0) libc().fcntl(fd, F_SETFL, 0);
  return fd;
}

bool is_away(int error) { return error == ENOENT || error == ECONNREFUSED || error == EAGAIN; }

int open_served(int flags) {
  int fd = connect_to_daemon(flags);
  const bool connected = fd >= 0;
  if (!connected && (settings().daemon_bytes == 0 || !is_away(errno))) {
    errno = EPROTONOSUPPORT;  // the error of a kernel without the connector
    return -1;
  }
  // Reserves the descriptor for add().
  if (!connected) fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (fd < 0) return -1;
  forget_descriptor(fd);
  Socket* socket = add(fd, Socket::Kind::kDaemon);
  if (socket == nullptr) {
    libc().close(fd);
    errno = EMFILE;
    return -1;
  }
  socket->known = true;
  if (connected) return fd;
  const Busy busy(*socket);
  const int timer = make_stand_in(*socket, -1)
                        ? make_timer(*socket, (flags & SOCK_NONBLOCK) != 0 ? TFD_NONBLOCK : 0)
                        : -1;
  if (timer < 0) {
    forget_descriptor(fd);
    libc().close(fd);
    errno = EMFILE;
    return -1;
  }
  socket->down = socket->loss_reported = true;  // no ENOBUFS before the first ack
  socket->down_since_ms = now_ms();
  libc().dup3(timer, fd, (flags & SOCK_CLOEXEC) != 0 ? O_CLOEXEC : 0);
  libc().close(timer);
  return fd;
}

Link reconnect(Socket& socket, int fd, uint32_t seen) {
  const Busy busy(socket);
  if (!busy) return Link::kDown;  // another thread is reconnecting
  if (!socket.is(fd)) return Link::kOtherFile;
  if (socket.generation != seen && !socket.down) return Link::kUp;
  if (!socket.known) return Link::kFailed;
  bool at_once = true;
  if (!socket.down) {
    at_once = !was_refused(socket);
    go_down(socket);
  }
  if (at_once && connect_again(socket, fd)) return Link::kUp;
  report_loss(socket);
  if (socket.timer_ns == 0) replace_with_timer(socket, fd);
  if (socket.timer_ns != 0) rearm(socket, fd);
  return now_ms() - socket.down_since_ms > kReconnectTimeoutMs ? Link::kFailed : Link::kDown;
}

bool await_daemon(Socket& socket, int fd, int flags, uint32_t seen, Link link) {
  if (link == Link::kUp) return true;
  const WaitLimit limit(socket, fd, flags);
  for (; link == Link::kDown; link = reconnect(socket, fd, seen)) {
    if (limit.passed()) {
      errno = EAGAIN;
      return false;
    }
    pollfd timer{.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&timer, 1, kTryAgainMs) < 0) return false;  // EINTR
  }
  if (link == Link::kOtherFile) forget_descriptor(fd);
  errno = link == Link::kOtherFile ? ENOTSOCK : ECONNREFUSED;
  return link == Link::kUp;
}

bool await_daemon_for_request(Socket& socket, int fd, int flags, uint32_t seen) {
  const bool waits = (flags & MSG_DONTWAIT) == 0 && (libc().fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
  const int64_t until_ms = waits ? now_ms() + kRequestTimeoutMs : 0;
  for (;;) {
    const Link link = reconnect(socket, fd, seen);
    if (link == Link::kUp) return true;
    errno = 0;
    if (link == Link::kOtherFile) {
      forget_descriptor(fd);
      errno = ENOTSOCK;
      return false;
    }
    if (now_ms() >= until_ms) return false;
    // Do not poll the timer here: reconnect() rearms it, and another thread that polls it must wake
    // up.
    if (::poll(nullptr, 0, kTryAgainMs) < 0) return false;
  }
}

bool keep_request(Socket& socket, const Request& request) {
  for (int tries = 0; tries < 1000; ++tries) {
    const Busy busy(socket);
    if (!busy) {
      ::sched_yield();
      continue;
    }
    if (!socket.down) return false;
    socket.pending = make_request(request, request.op, request.mask, request.connector.ack);
    return true;
  }
  return true;  // the subscription is repeated anyway, only this request gets no ack
}

void on_resumed(Socket& socket, int fd, uint32_t error) {
  socket.shim_ack = 0;
  if (error != 0) {
    libc().shutdown(fd, SHUT_RDWR);  // the daemon refused the request: treat it as absent
    return;
  }
  socket.daemon_answered = true;
  if (socket.resuming.exchange(false) && !socket.no_enobufs) socket.overrun = true;
}

void note_epoll(Socket& socket, int epoll, int operation, int fd, const epoll_event* event) {
  for (int tries = 0; tries < 1000; ++tries) {
    const Busy busy(socket);
    if (!busy) {
      ::sched_yield();
      continue;
    }
    socket.drop_epolls(epoll, fd);
    if (operation == EPOLL_CTL_DEL || event == nullptr) return;
    for (Socket::Epoll& entry : socket.epolls) {
      if (entry.epoll >= 0) continue;
      entry = {.epoll = epoll, .descriptor = fd, .event = *event};
      watch_epoll(epoll);
      return;
    }
    return;
  }
}

}  // namespace knell::compat
