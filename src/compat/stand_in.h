// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What holds the options of a socket while no daemon is there.
//
// The descriptor itself is a timer then, so that poll(), select(), epoll and whatever else waits
// for it wakes ten times a second. A timer has no socket options: a second socket, which is never
// connected, has them meanwhile. Its descriptor is a number that the program does not know; should
// the program close it all the same, another takes its place, with the options of a new socket.
#pragma once

#include <sched.h>

#include <cerrno>

#include "compat/table.h"

namespace knell::compat {

// Gives `to` the options of `from` that a program can have set: buffer sizes, time limits,
// credentials, stamps, a classic filter of up to 512 instructions.
void copy_options(int from, int to);

// Makes the stand-in, with the options of `like` unless that is -1; false: no descriptor is left.
bool make_stand_in(Socket& socket, int like);
// Its descriptor, made anew if it was closed; -1 and errno. With `busy` held.
int stand_in_of(Socket& socket);

// Calls `call` with the descriptor that has the options of `socket`: `fd`, or the stand-in.
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
