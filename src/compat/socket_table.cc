// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "compat/socket_table.h"

#include <linux/netlink.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "compat/libc.h"
#include "compat/settings.h"

// The table has two bytes for each possible descriptor. Entries of descriptors that are never used
// are not written, so their pages take no memory.
namespace knell::compat {

namespace {

// Chosen, not measured; they take no memory until they are used.
constexpr size_t kMostSockets = 512;
constinit std::array<Socket, kMostSockets> sockets{};

// The default limit of descriptors in a process, fs.nr_open
constexpr size_t kMostFds = size_t{1} << 20;
// 0: unknown. 1: not a socket of the shim. 2: an epoll set with a socket of the shim. 3 and above:
// sockets[entry - 3].
constexpr uint16_t kForeign = 1, kEpollSet = 2, kFirst = 3;
std::array<uint16_t, kMostFds> entries;  // zero-initialized before any code runs

std::atomic<pid_t> owner = 0;  // the process that owns the table; a vfork child only borrows it

[[gnu::constructor]] void remember_owner() {
  owner.store(::getpid(), std::memory_order_relaxed);
  ::pthread_atfork(nullptr, nullptr, [] { owner.store(::getpid(), std::memory_order_relaxed); });
}

constexpr Socket::Epoll kNone{.epoll = -1, .descriptor = -1, .event = {}};

bool in_range(int fd) { return fd >= 0 && static_cast<size_t>(fd) < kMostFds; }

std::atomic_ref<uint16_t> entry_of(int fd) {
  return std::atomic_ref<uint16_t>(entries[static_cast<size_t>(fd)]);
}

uint16_t entry_for(const Socket& socket) {
  return static_cast<uint16_t>(kFirst + (&socket - sockets.data()));
}

int int_option(int fd, int option) {
  int value = -1;
  socklen_t bytes = sizeof value;
  return libc().getsockopt(fd, SOL_SOCKET, option, &value, &bytes) == 0 ? value : -1;
}

bool connected_to_daemon(int fd) {
  const Settings& wanted = settings();
  sockaddr_un peer{};
  socklen_t bytes = sizeof peer;
  return wanted.daemon_bytes != 0 && int_option(fd, SO_TYPE) == SOCK_SEQPACKET &&
         libc().getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &bytes) == 0 &&
         std::strncmp(peer.sun_path, wanted.daemon.sun_path, sizeof peer.sun_path) == 0;
}

// Recognises a socket inherited through exec: the program that opened it had the shim preloaded,
// too.
Socket* recognise(int fd) {
  const int domain = int_option(fd, SO_DOMAIN);
  if (!settings().direct && domain == AF_UNIX && connected_to_daemon(fd))
    return add(fd, Socket::Kind::kDaemon);
  if (settings().direct && domain == AF_NETLINK && int_option(fd, SO_PROTOCOL) == NETLINK_CONNECTOR)
    return add(fd, Socket::Kind::kDirect);
  return nullptr;
}

bool add_descriptor(Socket& socket, int fd) {
  for (auto& place : socket.descriptors) {
    int empty = -1;
    if (place.compare_exchange_strong(empty, fd)) return true;
  }
  return false;
}

// Does nothing if another thread is reconnecting the socket. That thread may then repeat a stale
// registration, which is harmless.
void try_drop_epolls(Socket& socket, int epoll, int descriptor) {
  const Busy busy(socket);
  if (busy) socket.drop_epolls(epoll, descriptor);
}

void remove_descriptor(Socket& socket, int fd) {
  try_drop_epolls(socket, -1, fd);
  bool others = false;
  for (auto& place : socket.descriptors) {
    int here = fd;
    place.compare_exchange_strong(here, -1);
    others = others || place.load() >= 0;
  }
  if (others) return;
  drop_stand_in(socket);
  socket.taken.store(false, std::memory_order_release);
}

void reset(Socket& socket) {
  for (auto& place : socket.descriptors) place.store(-1);
  socket.type = SOCK_DGRAM;
  socket.bound = socket.no_enobufs = socket.overrun = socket.daemon_answered = socket.resuming =
      false;
  socket.known = socket.listening = socket.with_mask = false;
  socket.port = socket.groups = socket.mask = socket.shim_ack = socket.flags = 0;
  socket.timer_ns = 0;
  socket.stand_in = -1;
  socket.busy = 0;
  socket.down = socket.loss_reported = false;
  socket.down_since_ms = socket.up_since_ms = 0;
  socket.pending = {};
  socket.epolls.fill(kNone);
}

}  // namespace

Busy::Busy(Socket& socket) : socket_(socket) {
  const pid_t self = ::getpid();
  pid_t holder = 0;
  held_ = socket.busy.compare_exchange_strong(holder, self) ||
          (holder != self && socket.busy.compare_exchange_strong(holder, self));
}

void Socket::drop_epolls(int epoll, int descriptor) {
  for (Epoll& entry : epolls) {
    if ((epoll < 0 || entry.epoll == epoll) && (descriptor < 0 || entry.descriptor == descriptor))
      entry = kNone;
  }
}

void Socket::take_identity(int fd) {
  struct stat now{};
  if (libc().fstat(fd, &now) != 0) return;
  device = now.st_dev;
  inode = now.st_ino;
}

bool Socket::is(int fd) const {
  struct stat now{};
  if (libc().fstat(fd, &now) != 0 || now.st_dev != device || now.st_ino != inode) return false;
  if (S_ISSOCK(now.st_mode)) return true;
  itimerspec timer{};  // timers cannot be distinguished by their inode, which is the same for all
  return ::timerfd_gettime(fd, &timer) == 0 && timer.it_interval.tv_nsec == timer_ns;
}

std::span<Socket> all_sockets() { return sockets; }

bool in_borrowed_memory() { return owner.load(std::memory_order_relaxed) != ::getpid(); }

Socket* find(int fd) {
  if (!in_range(fd)) return nullptr;
  const uint16_t entry = entry_of(fd).load(std::memory_order_acquire);
  if (entry == kForeign || entry == kEpollSet) return nullptr;
  if (entry >= kFirst) return &sockets[entry - kFirst];
  const int error = errno;
  Socket* found = recognise(fd);
  // Do not store the number of a closed descriptor: a function that the library does not intercept
  // (a dup by a direct system call) may later give that number to a connector socket.
  if (found == nullptr && libc().fcntl(fd, F_GETFD) >= 0) forget_descriptor(fd);
  errno = error;
  return found;
}

Socket* add(int fd, Socket::Kind kind) {
  if (!in_range(fd)) return nullptr;
  for (Socket& socket : sockets) {
    bool free = false;
    if (!socket.taken.compare_exchange_strong(free, true)) continue;
    reset(socket);
    socket.kind = kind;
    socket.take_identity(fd);
    add_descriptor(socket, fd);
    entry_of(fd).store(entry_for(socket), std::memory_order_release);
    return &socket;
  }
  return nullptr;
}

void forget_descriptor(int fd) {
  if (!in_range(fd)) return;
  if (entry_of(fd).load(std::memory_order_relaxed) == kForeign || in_borrowed_memory()) return;
  const uint16_t was = entry_of(fd).exchange(kForeign, std::memory_order_acq_rel);
  if (was >= kFirst) remove_descriptor(sockets[was - kFirst], fd);
  if (was == kEpollSet) for_each_socket([&](Socket& socket) { try_drop_epolls(socket, fd, -1); });
}

void forget_descriptor_range(unsigned first, unsigned last) {
  for_each_socket([&](Socket& socket) {
    for (const auto& place : socket.descriptors) {
      const int fd = place.load();
      if (fd >= 0 && static_cast<unsigned>(fd) >= first && static_cast<unsigned>(fd) <= last)
        forget_descriptor(fd);
    }
  });
}

void watch_epoll(int fd) {
  if (in_range(fd)) entry_of(fd).store(kEpollSet, std::memory_order_release);
}

void share_descriptor(int fd, int copy) {
  Socket* socket = find(fd);
  forget_descriptor(copy);
  if (socket == nullptr || !in_range(copy) || in_borrowed_memory() ||
      !add_descriptor(*socket, copy))
    return;
  entry_of(copy).store(entry_for(*socket), std::memory_order_release);
}

}  // namespace knell::compat
