// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// Before glibc 2.33 fstat() was linked into each program, so it cannot be intercepted.
#if !defined(__GLIBC__) || __GLIBC_PREREQ(2, 33)
#define KNELL_COMPAT_FSTAT 1
#endif

namespace knell::compat {

// The real functions, which the program would call without the shim.
struct Libc {
  decltype(&::socket) socket;
  decltype(&::bind) bind;
  decltype(&::connect) connect;
  decltype(&::getsockname) getsockname;
  decltype(&::getpeername) getpeername;
  decltype(&::setsockopt) setsockopt;
  decltype(&::getsockopt) getsockopt;
  decltype(&::send) send;
  decltype(&::sendto) sendto;
  decltype(&::sendmsg) sendmsg;
  decltype(&::sendmmsg) sendmmsg;
  decltype(&::write) write;
  decltype(&::writev) writev;
  decltype(&::recv) recv;
  decltype(&::recvfrom) recvfrom;
  decltype(&::recvmsg) recvmsg;
  decltype(&::recvmmsg) recvmmsg;
  decltype(&::read) read;
  decltype(&::readv) readv;
  // The variants of recv(), recvfrom() and read() for _FORTIFY_SOURCE.
  ssize_t (*recv_chk)(int, void*, size_t, size_t, int);
  ssize_t (*recvfrom_chk)(int, void*, size_t, size_t, int, sockaddr*, socklen_t*);
  ssize_t (*read_chk)(int, void*, size_t, size_t);
  decltype(&::shutdown) shutdown;
  decltype(&::close) close;
  int (*close_range)(unsigned, unsigned, int);  // glibc 2.34
  void (*closefrom)(int);                       // glibc 2.34
  decltype(&::dup) dup;
  decltype(&::dup2) dup2;
  decltype(&::dup3) dup3;
  int (*fcntl)(int, int, ...);
  int (*fcntl64)(int, int, ...);  // glibc 2.28: fcntl() of programs with large files
  decltype(&::epoll_ctl) epoll_ctl;
  int (*fstat)(int, struct stat*);
  int (*fstat64)(int, struct stat64*);  // glibc 2.33
  decltype(&::geteuid) geteuid;
  decltype(&::getuid) getuid;
};

// The functions are looked up when the shim is loaded, or at the first call if a constructor of
// another library runs earlier. Async-signal-safe from then on.
const Libc& libc();

}  // namespace knell::compat
