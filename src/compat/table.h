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

// One process connector socket of the program, and all descriptors that are it.
//
//   add() --> up <--> down (no daemon is there: see daemon.h) --> free, when its last descriptor is
//   closed
//
// All zeros until it is taken. Every field but those under `busy` is an atomic that stands for
// itself: the data path takes no lock, and a signal handler may use what it interrupted.
struct Socket {
  enum class Kind : uint8_t { kDaemon, kDirect };
  static constexpr size_t kMostDescriptors = 8;  // dup()s beyond are not followed
  static constexpr size_t kMostEpolls = 4;       // registrations beyond do not survive a reconnect

  std::atomic<bool> taken = false;
  std::atomic<Kind> kind = Kind::kDaemon;
  std::atomic<int> type = 0;  // SOCK_DGRAM or SOCK_RAW, as the program asked
  std::array<std::atomic<int>, kMostDescriptors> descriptors;
  // Which file it is: the proof, before anything is done to a descriptor, that it was not closed
  // and given away behind our back.
  std::atomic<dev_t> device = 0;
  std::atomic<ino_t> inode = 0;
  // Down: the descriptors are a timer of this interval, which no other has; and what holds the
  // options of the socket meanwhile (stand_in.h).
  std::atomic<long> timer_ns = 0;  // 0: up
  std::atomic<int> stand_in = 0;   // -1: none
  std::atomic<ino_t> stand_in_inode = 0;

  std::atomic<uint32_t> generation = 0;  // counts the files that were behind the descriptors

  // What a netlink socket remembers.
  std::atomic<bool> bound = false;
  std::atomic<uint32_t> port = 0;  // nl_pid
  std::atomic<uint32_t> groups = 0;
  std::atomic<bool> no_enobufs = false;
  std::atomic<uint32_t> flags = 0;    // options of SOL_NETLINK that are on: a bit for each number
  std::atomic<bool> overrun = false;  // the next receive is to fail with ENOBUFS
  std::atomic<bool> heard = false;    // an event, or the ack of ours, since it is up
  // What it listens to was asked for again, and is not acked yet: until the ack events are missed.
  std::atomic<bool> resuming = false;

  // What it last asked for.
  std::atomic<bool> known = false;  // false: inherited through exec, we did not hear its requests
  std::atomic<bool> listening = false;
  std::atomic<bool> with_mask = false;
  std::atomic<uint32_t> mask = 0;
  std::atomic<uint32_t> hidden_ack = 0;  // an ack of this value answers a request of ours

  // Held, by compare-and-swap, by the process that changes what follows; a child that inherits it
  // held does not wait for its parent.
  std::atomic<pid_t> busy = 0;
  bool down = false;
  bool hole_reported = false;  // the program knows that it misses events now
  int64_t down_since_ms = 0, up_since_ms = 0;
  RequestBytes pending;  // the last request made while down, of size 0: none
  struct Epoll {
    int epoll = 0;
    int descriptor = 0;
    epoll_event event{};
  };
  std::array<Epoll, kMostEpolls> epolls;

  void drop_epolls(int epoll, int descriptor);  // -1: whichever
  void take_identity(int fd);
  bool is(int fd) const;  // whether `fd` still is this socket
};

// Holds `busy` of a socket, if nobody else does.
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

// Closes what holds the options while no daemon is there.
void drop_stand_in(Socket& socket);

// Whose descriptor it is; nullptr: not one of ours. Costs a load; but the first look at a
// descriptor that was there before us, which may be a socket of ours that an exec brought along,
// asks the kernel. Keeps errno.
Socket* find(int fd);

// Makes `fd` a new socket of ours. nullptr: there are too many.
Socket* add(int fd, Socket::Kind kind);

// `fd` is no longer (or never was) ours: closed, or another file now.
void forget(int fd);
// The same for descriptors from `first` to `last`.
void forget_range(unsigned first, unsigned last);
// `fd` is an epoll set that holds a socket of ours: when it is closed, its registrations go.
void watch_epoll(int fd);
// `copy` became what `fd` is.
void share(int fd, int copy);

// Whether the memory here is another process': the child of a vfork closes and copies descriptors
// of its own while it writes to its parent's memory. Nothing must be noted then.
bool in_borrowed_memory();

// Room for all sockets of ours, taken or not.
std::span<Socket> all_sockets();

// For the few who look at all of them.
template <class Visit>
void for_each_socket(Visit visit) {
  for (Socket& socket : all_sockets()) {
    if (socket.taken.load(std::memory_order_acquire)) visit(socket);
  }
}

}  // namespace knell::compat
