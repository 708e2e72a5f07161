// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "compat/stand_in.h"

#include <linux/filter.h>
#include <sys/time.h>

#include <array>

#include "compat/libc.h"

namespace knell::compat {
namespace {

// Lowest descriptor number that a stand-in gets; chosen, not measured
constexpr int kLowestStandIn = 256;
// Longest filter in instructions; the kernel allows 4096, too many for the stack
constexpr size_t kMostFilter = 512;
constexpr int kSoGetFilter = SO_ATTACH_FILTER;
constexpr std::array kFlags{SO_PASSCRED,  SO_PASSSEC,   SO_TIMESTAMP, SO_TIMESTAMPNS,
                            SO_RXQ_OVFL,  SO_RCVLOWAT,  SO_PRIORITY,  SO_MARK,
                            SO_BUSY_POLL, SO_BROADCAST, SO_DEBUG,     SO_TIMESTAMPING};

template <class T>
bool get(int fd, int option, T& value) {
  socklen_t bytes = sizeof value;
  return libc().getsockopt(fd, SOL_SOCKET, option, &value, &bytes) == 0 && bytes == sizeof value;
}

template <class T>
bool set(int fd, int option, const T& value) {
  return libc().setsockopt(fd, SOL_SOCKET, option, &value, sizeof value) == 0;
}

void copy_flag(int from, int to, int option) {
  int wanted = 0, now = 0;
  if (get(from, option, wanted) && get(to, option, now) && wanted != now) set(to, option, wanted);
}

// The kernel doubles the size on set, and returns the doubled size on get.
void copy_size(int from, int to, int option, int forced) {
  int wanted = 0, now = 0;
  if (!get(from, option, wanted) || !get(to, option, now) || wanted == now) return;
  if (!set(to, forced, wanted / 2)) set(to, option, wanted / 2);
}

void copy_limit(int from, int to, int option) {
  timeval limit{};
  if (get(from, option, limit)) set(to, option, limit);
}

void copy_filter(int from, int to) {
  std::array<sock_filter, kMostFilter> code;
  socklen_t count = code.size();  // in instructions, not bytes
  if (libc().getsockopt(from, SOL_SOCKET, kSoGetFilter, code.data(), &count) != 0 || count == 0)
    return;
  set(to, SO_ATTACH_FILTER, sock_fprog{static_cast<unsigned short>(count), code.data()});
}

bool is_stand_in(const Socket& socket, int fd) {
  struct stat now{};
  return fd >= 0 && libc().fstat(fd, &now) == 0 && now.st_ino == socket.stand_in_inode &&
         S_ISSOCK(now.st_mode);
}

}  // namespace

void copy_options(int from, int to) {
  copy_size(from, to, SO_RCVBUF, SO_RCVBUFFORCE);
  copy_size(from, to, SO_SNDBUF, SO_SNDBUFFORCE);
  copy_limit(from, to, SO_RCVTIMEO);
  copy_limit(from, to, SO_SNDTIMEO);
  for (const int option : kFlags) copy_flag(from, to, option);
  copy_filter(from, to);
}

bool make_stand_in(Socket& socket, int like) {
  drop_stand_in(socket);
  int fd = libc().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  if (const int high = libc().fcntl(fd, F_DUPFD_CLOEXEC, kLowestStandIn); high >= 0) {
    libc().close(fd);
    fd = high;
  }
  forget_descriptor(fd);
  if (like >= 0) copy_options(like, fd);
  struct stat now{};
  if (libc().fstat(fd, &now) == 0) socket.stand_in_inode = now.st_ino;
  socket.stand_in = fd;
  return true;
}

int stand_in_of(Socket& socket) {
  if (!is_stand_in(socket, socket.stand_in)) {
    socket.stand_in = -1;
    if (!make_stand_in(socket, -1)) return -1;
  }
  return socket.stand_in;
}

void drop_stand_in(Socket& socket) {
  const int fd = socket.stand_in.exchange(-1);
  if (is_stand_in(socket, fd)) libc().close(fd);
}

}  // namespace knell::compat
