// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "compat/libc.h"

#include <dlfcn.h>

#include <atomic>

namespace knell::compat {
namespace {

Libc next;
std::atomic<bool> ready = false;

template <class F>
void find(F& function, const char* name) {
  function = reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

// Two threads may run this at once: they write the same values.
[[gnu::constructor]] void find_all() {
  find(next.socket, "socket");
  find(next.bind, "bind");
  find(next.connect, "connect");
  find(next.getsockname, "getsockname");
  find(next.getpeername, "getpeername");
  find(next.setsockopt, "setsockopt");
  find(next.getsockopt, "getsockopt");
  find(next.send, "send");
  find(next.sendto, "sendto");
  find(next.sendmsg, "sendmsg");
  find(next.sendmmsg, "sendmmsg");
  find(next.write, "write");
  find(next.writev, "writev");
  find(next.recv, "recv");
  find(next.recvfrom, "recvfrom");
  find(next.recvmsg, "recvmsg");
  find(next.recvmmsg, "recvmmsg");
  find(next.read, "read");
  find(next.readv, "readv");
  find(next.recv_chk, "__recv_chk");
  find(next.recvfrom_chk, "__recvfrom_chk");
  find(next.read_chk, "__read_chk");
  find(next.shutdown, "shutdown");
  find(next.close, "close");
  find(next.close_range, "close_range");
  find(next.closefrom, "closefrom");
  find(next.dup, "dup");
  find(next.dup2, "dup2");
  find(next.dup3, "dup3");
  find(next.fcntl, "fcntl");
  find(next.fcntl64, "fcntl64");
  find(next.epoll_ctl, "epoll_ctl");
  find(next.fstat, "fstat");
#ifndef KNELL_COMPAT_FSTAT
  next.fstat = ::fstat;
#endif
  find(next.fstat64, "fstat64");
  find(next.geteuid, "geteuid");
  find(next.getuid, "getuid");
  ready.store(true, std::memory_order_release);
}

}  // namespace

const Libc& libc() {
  if (!ready.load(std::memory_order_acquire)) find_all();
  return next;
}

}  // namespace knell::compat
