// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/epoll.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "compat/request.h"

namespace knell::compat {

// One process connector socket of the program, with all its descriptors.
//
//   add() --> up <--> down (no daemon, see daemon_connection.h) --> free (last descriptor closed)
//
// All zeros until it is taken. Every field except those protected by `busy` is an independent
// atomic: the data path takes no lock, and a signal handler may use a socket whose call it
// interrupted.
struct Socket {
  enum class Kind : uint8_t { kDaemon, kDirect };
  static constexpr size_t kMostDescriptors = 8;  // further copies by dup() are not tracked
  // registrations in further epoll sets are lost by a reconnect
  static constexpr size_t kMostEpolls = 4;

  std::atomic<bool> taken = false;
  std::atomic<Kind> kind = Kind::kDaemon;
  std::atomic<int> type = 0;  // SOCK_DGRAM or SOCK_RAW, as requested by the program
  std::array<std::atomic<int>, kMostDescriptors> descriptors;
  // Identifies the file. Compared before a descriptor is used, since the program may have closed
  // and reused it without the shim noticing.
  std::atomic<dev_t> device = 0;
  std::atomic<ino_t> inode = 0;
  // Down: the descriptors are a timer with this unique interval, and the stand-in has the options
  // of the socket (stand_in.h).
  std::atomic<long> timer_ns = 0;  // 0: up
  std::atomic<int> stand_in = 0;   // -1: none
  std::atomic<ino_t> stand_in_inode = 0;

  std::atomic<uint32_t> generation = 0;  // incremented when the file behind the descriptors changes

  // The state of a netlink socket.
  std::atomic<bool> bound = false;
  std::atomic<uint32_t> port = 0;  // nl_pid
  std::atomic<uint32_t> groups = 0;
  std::atomic<bool> no_enobufs = false;
  std::atomic<uint32_t> flags = 0;    // options of SOL_NETLINK that are on: bit n for option n
  std::atomic<bool> overrun = false;  // the next receive fails with ENOBUFS
  // The daemon has sent an event or the shim's ack since the last reconnect.
  std::atomic<bool> daemon_answered = false;
  // The repeated request is not acked yet: events are missed until the ack.
  std::atomic<bool> resuming = false;

  // The last request.
  std::atomic<bool> known = false;  // false: inherited through exec, its requests are unknown
  std::atomic<bool> listening = false;
  std::atomic<bool> with_mask = false;
  std::atomic<uint32_t> mask = 0;
  std::atomic<uint32_t> shim_ack = 0;  // an ack of this value is for a request of the shim

  // A lock for the members below: the pid of the holder, set by compare-and-swap. After a fork the
  // child may take a lock that its parent held.
  std::atomic<pid_t> busy = 0;
  bool down = false;
  bool loss_reported = false;  // ENOBUFS was reported for the current loss
  int64_t down_since_ms = 0, up_since_ms = 0;
  RequestBytes pending;  // the last request made while down; size 0: none
  struct Epoll {
    int epoll = 0;
    int descriptor = 0;
    epoll_event event{};
  };
  std::array<Epoll, kMostEpolls> epolls;

  void drop_epolls(int epoll, int descriptor);  // -1: any
  void take_identity(int fd);
  bool is(int fd) const;  // whether `fd` still refers to this socket
};

// Tries to lock `busy` of a socket. False if another thread holds it.
class Busy {
 public:
  explicit Busy(Socket& socket);
  ~Busy() {
    if (held_) socket_.busy.store(0);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  explicit operator bool() const { return held_; }

 private:
  Socket& socket_;
  bool held_;
};

// Closes the stand-in (stand_in.h).
void drop_stand_in(Socket& socket);

// The socket of a descriptor; nullptr: not a socket of the shim. Costs one load. The first call for
// a descriptor that was open before the shim was loaded asks the kernel, since it may be a socket
// of the shim inherited through exec. Does not change errno.
Socket* find(int fd);

// Adds `fd` as a new socket. nullptr: there are too many.
Socket* add(int fd, Socket::Kind kind);

// Records that `fd` is not a socket of the shim: it was closed, or is another file now.
void forget_descriptor(int fd);
// Records this for all descriptors from `first` to `last`.
void forget_descriptor_range(unsigned first, unsigned last);
// Records that `fd` is an epoll set with a socket of the shim: closing it drops its registrations.
void watch_epoll(int fd);
// Records that `copy` is a copy of `fd`.
void share_descriptor(int fd, int copy);

// Whether this process is the child of a vfork, which runs in the memory of its parent. It may
// close and copy its own descriptors, but must not change the table, which is the parent's.
bool in_borrowed_memory();

// All entries, taken or not.
std::span<Socket> all_sockets();

// Calls `visit` for each socket that is taken.
template <class Visit>
void for_each_socket(Visit visit) {
  for (Socket& socket : all_sockets()) {
    if (socket.taken.load(std::memory_order_acquire)) visit(socket);
  }
}

}  // namespace knell::compat
