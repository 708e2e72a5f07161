// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The stand-in: a socket that has the options of another socket while there is no daemon.
//
// Meanwhile the descriptor itself is a timer, so that poll(), select() and epoll return ten times a
// second. A timer has no socket options, so the stand-in, a second socket that is never connected,
// has them. The program does not know its descriptor. If the program closes it nevertheless, it is
// replaced with a new socket, which has default options.
#pragma once

#include <sched.h>

#include <cerrno>

#include "compat/socket_table.h"

namespace knell::compat {

// Copies the options that a program may have set: buffer sizes, timeouts, credentials, timestamps,
// a classic BPF filter of up to 512 instructions.
void copy_options(int from, int to);

// Creates the stand-in, with the options of `like` unless that is -1; false: no free descriptor.
bool make_stand_in(Socket& socket, int like);
// The descriptor of the stand-in, which is created again if it was closed; -1 and errno. The caller
// must hold `busy`.
int stand_in_of(Socket& socket);

// Calls `call` with the descriptor that has the options of `socket`: `fd` or the stand-in.
template <class Call>
int with_options(Socket& socket, int fd, Call call) {
  for (int tries = 0; tries < 1000; ++tries) {
    if (socket.timer_ns == 0) {
      const int result = call(fd);
      if (result >= 0 || errno != ENOTSOCK) return result;
    }
    const Busy busy(socket);
    if (!busy) {
      ::sched_yield();
      continue;
    }
    if (socket.timer_ns == 0) return call(fd);
    const int holder = stand_in_of(socket);
    return holder < 0 ? -1 : call(holder);
  }
  errno = ENOTSOCK;
  return -1;
}

}  // namespace knell::compat
