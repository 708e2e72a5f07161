// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The naive client, as most programs that use the connector are written: wait, receive one event,
// handle it, again.
#include <arpa/inet.h>
#include <knell/cn_proc.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"
#include "bench/frame/connector_socket.h"
#include "bench/frame/contender.h"
#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr int kBufferBytes = 64 << 20;

// Non-zero exits only. Loads are big-endian, the fields the machine's: the constants are turned.
bool attach_classic_bpf(int sock) {
  constexpr uint32_t kWhatAt = sizeof(nlmsghdr) + sizeof(knell_cn_msg);
  constexpr uint32_t kExitCodeAt = kWhatAt + 24;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kWhatAt),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(KNELL_EVENT_EXIT), 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kExitCodeAt),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  return ::setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

int failed(Board& board, const char* what) {
  const int error = errno;
  std::snprintf(board.why, sizeof board.why, "%s: %s", what, std::strerror(error));
  return error == 0 ? EIO : error;
}

void handle(Board& board, const knell_proc_event& event, uint32_t wanted) {
  if (event.what == KNELL_EVENT_FORK && (wanted & KNELL_EVENT_FORK) != 0 &&
      event.data.fork.child_pid == event.data.fork.child_tgid) {
    board.tell(KNELL_EVENT_FORK, event.data.fork.child_tgid);
  } else if (event.what == KNELL_EVENT_EXEC && (wanted & KNELL_EVENT_EXEC) != 0) {
    board.tell(KNELL_EVENT_EXEC, event.data.exec.process_tgid);
  } else if (event.what == KNELL_EVENT_EXIT) {
    const auto& exit = event.data.exit;
    const bool wants = (wanted & KNELL_EVENT_EXIT) != 0 ||
                       ((wanted & KNELL_EVENT_NONZERO_EXIT) != 0 && exit.exit_code != 0);
    if (!wants || exit.process_pid != exit.process_tgid) return;
    board.tell(KNELL_EVENT_EXIT, exit.process_tgid);
    if (exit.exit_code == kMarkerStatus << 8) board.tell_marker(exit.process_tgid, now_ns());
  }
}

// One event, or what went wrong with it.
void receive(Board& board, int sock, uint32_t wanted) {
  if (const auto event = receive_event(sock)) {
    handle(board, *event, wanted);
  } else if (errno == ENOBUFS) {
    ++board.lost;
  }
}

int listen(Board& board, int stop_fd, Request request, uint32_t wanted) {
  const UniqueFd sock = open_connector(kBufferBytes);
  if (!sock) return failed(board, "the process connector");
  if (request == Request::kClassicBpf && !attach_classic_bpf(sock.get()))
    return failed(board, "attach a socket filter");
  if (!ask_connector(sock.get(), request, KNELL_MCAST_LISTEN, wanted))
    return failed(board, "ask the process connector");
  const UniqueFd waiter(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event wanted_fd{.events = EPOLLIN, .data = {.fd = sock.get()}};
  epoll_event stop{.events = EPOLLIN, .data = {.fd = stop_fd}};
  if (!waiter || ::epoll_ctl(waiter.get(), EPOLL_CTL_ADD, sock.get(), &wanted_fd) != 0 ||
      ::epoll_ctl(waiter.get(), EPOLL_CTL_ADD, stop_fd, &stop) != 0) {
    return failed(board, "epoll");
  }
  board.ready = 1;
  for (;;) {
    epoll_event ready{};
    if (::epoll_wait(waiter.get(), &ready, 1, -1) != 1) continue;
    if (ready.data.fd == stop_fd) break;
    receive(board, sock.get(), wanted);
  }
  (void)ask_connector(sock.get(), request, KNELL_MCAST_IGNORE, wanted);
  return 0;
}

}  // namespace

std::unique_ptr<Contender> make_naive(std::string name, Request request, uint32_t events) {
  return std::make_unique<InProcess>(std::move(name), events, [=](Board& board, int stop_fd) {
    return listen(board, stop_fd, request, events);
  });
}

// A kernel that takes no 8 bytes says nothing at all to them. One that does acks them to a listener
// for all events; acks are in the queue when send() returns. No other LISTEN may fail us: with the
// mask of all events nothing is filtered away, so the ack is found by its number.
bool kernel_filters() {
  constexpr uint32_t kNonce = 0x6b6e6c;
  const UniqueFd sock = open_connector(kBufferBytes);
  if (!sock ||
      !ask_connector(sock.get(), Request::kFiltered, KNELL_MCAST_LISTEN, KNELL_EVENT_ALL, kNonce))
    return false;
  bool acked = false;
  unsigned char bytes[4096];
  for (ssize_t got = 0;
       !acked && (got = ::recv(sock.get(), bytes, sizeof bytes, MSG_DONTWAIT)) >= 0;) {
    knell_cn_msg message{};
    knell_proc_event event{};
    if (got != KNELL_CN_DATAGRAM_BYTES) continue;
    std::memcpy(&message, bytes + sizeof(nlmsghdr), sizeof message);
    std::memcpy(&event, bytes + sizeof(nlmsghdr) + sizeof message, sizeof event);
    acked = event.what == KNELL_EVENT_NONE && message.ack == kNonce + 1;
  }
  if (acked)
    (void)ask_connector(sock.get(), Request::kFiltered, KNELL_MCAST_IGNORE, KNELL_EVENT_ALL);
  return acked;
}

}  // namespace knell::bench
