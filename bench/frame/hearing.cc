// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/hearing.h"

#include <knell/knell.h>
#include <poll.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "bench/frame/connector_socket.h"
#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kPatienceNs = 30'000'000'000;
constexpr uint64_t kLookNs = 1'000'000;

int failed(Board& board, int error, const char* why) {
  std::snprintf(board.why, sizeof board.why, "%s", why);
  return error == 0 ? EIO : error;
}

// What a listener for processes would want of it; type 0: nothing.
Heard heard_in(const knell_proc_event& event) {
  Heard heard;
  std::memcpy(&heard.stamp_ns, &event.timestamp_ns, sizeof heard.stamp_ns);
  if (event.what == KNELL_EVENT_FORK && event.data.fork.child_pid == event.data.fork.child_tgid) {
    heard.type = KNELL_EVENT_FORK;
    heard.pid = event.data.fork.child_tgid;
    heard.ppid = event.data.fork.parent_tgid;
  } else if (event.what == KNELL_EVENT_EXEC) {
    heard.type = KNELL_EVENT_EXEC;
    heard.pid = event.data.exec.process_tgid;
  } else if (event.what == KNELL_EVENT_EXIT &&
             event.data.exit.process_pid == event.data.exit.process_tgid) {
    heard.type = KNELL_EVENT_EXIT;
    heard.pid = event.data.exit.process_tgid;
    heard.ppid = event.data.exit.parent_tgid;
    heard.wait_status = static_cast<int32_t>(event.data.exit.exit_code);
  }
  return heard;
}

void receive(Board& board, int sock, const Handler& handler) {
  const auto event = receive_event(sock);
  if (!event) {
    if (errno == ENOBUFS) ++board.lost;
    return;
  }
  if (const Heard heard = heard_in(*event); heard.type != 0) handler(board, heard);
}

int read_all(Board& board, knell_listener* listener, const Handler& handler) {
  std::array<const knell_event*, 64> events{};
  ssize_t count = 0;
  while ((count = knell_read(listener, events.data(), events.size())) > 0) {
    for (ssize_t i = 0; i < count; ++i) {
      const knell_event& event = *events[static_cast<size_t>(i)];
      if (event.type == KNELL_EVENT_LOST) {
        board.lost += event.lost_count == 0 ? 1 : event.lost_count;
      } else {
        handler(board, heard_of(event));
      }
    }
  }
  return count < 0 ? failed(board, static_cast<int>(-count), knell_explain()) : 0;
}

int hear_with_library(Board& board, int stop_fd, const LibraryOptions& wish,
                      const Handler& handler) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = wish.events;
  options.details = wish.details;
  options.via = wish.via;
  options.latency_ns = wish.latency_ns;
  options.buffer_bytes = wish.buffer_bytes;
  knell_listener* listener = nullptr;
  int error = knell_open(&options, &listener);
  if (error < 0) return failed(board, -error, knell_explain());
  ++board.ready;
  std::array<pollfd, 2> wait{pollfd{.fd = knell_fd(listener), .events = POLLIN, .revents = 0},
                             pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0}};
  while (error == 0) {
    if (::poll(wait.data(), wait.size(), -1) < 0) continue;
    if (wait[1].revents != 0) break;
    error = read_all(board, listener, handler);
  }
  knell_close(listener);
  return error;
}

}  // namespace

Heard heard_of(const knell_event& event) {
  return {.type = event.type,
          .pid = event.type == KNELL_EVENT_FORK ? event.child_pid : event.pid,
          .ppid = event.type == KNELL_EVENT_FORK ? event.pid : event.ppid,
          .wait_status = event.wait_status,
          .stamp_ns = event.mono_ns};
}

Request best_request() {
  static const Request best = kernel_filters() ? Request::kFiltered : Request::kLegacy;
  return best;
}

int hear_naively(Board& board, int stop_fd, const NaiveOptions& options, const Handler& handler) {
  const Request request = best_request();
  const UniqueFd sock = open_connector(options.buffer_bytes);
  if (!sock || !ask_connector(sock.get(), request, KNELL_MCAST_LISTEN, options.events))
    return failed(board, errno, "the process connector cannot be asked");
  const UniqueFd waiter(::epoll_create1(EPOLL_CLOEXEC));
  for (const int fd : {sock.get(), stop_fd}) {
    epoll_event wanted{.events = EPOLLIN, .data = {.fd = fd}};
    if (!waiter || ::epoll_ctl(waiter.get(), EPOLL_CTL_ADD, fd, &wanted) != 0)
      return failed(board, errno, "epoll does not work");
  }
  ++board.ready;
  for (;;) {
    epoll_event ready{};
    if (::epoll_wait(waiter.get(), &ready, 1, -1) != 1) continue;
    if (ready.data.fd == stop_fd) break;
    receive(board, sock.get(), handler);
  }
  (void)ask_connector(sock.get(), request, KNELL_MCAST_IGNORE, options.events);
  return 0;
}

bool is_exit_of_load(Board& board, const Heard& heard, int32_t parent) {
  if (heard.type != KNELL_EVENT_EXIT || heard.ppid != parent) return false;
  if (heard.wait_status != kMarkerStatus << 8) return true;
  board.tell_marker(heard.pid, now_ns());
  return false;
}

std::unique_ptr<Contender> make_hearing(std::string name, const NaiveOptions& options,
                                        Handler handler) {
  (void)best_request();  // asked before there are listeners
  return std::make_unique<InProcess>(
      std::move(name), 0, [options, handler = std::move(handler)](Board& board, int stop_fd) {
        return hear_naively(board, stop_fd, options, handler);
      });
}

std::unique_ptr<Contender> make_hearing(std::string name, const LibraryOptions& options,
                                        Handler handler) {
  return std::make_unique<InProcess>(
      std::move(name), 0, [options, handler = std::move(handler)](Board& board, int stop_fd) {
        return hear_with_library(board, stop_fd, options, handler);
      });
}

std::optional<uint64_t> await_handled(Contender& contender, pid_t marker) {
  for (const uint64_t end = now_ns() + kPatienceNs; now_ns() < end && !interrupted();
       rest(kLookNs)) {
    if (const auto when = contender.handled(marker)) return when;
  }
  return std::nullopt;
}

}  // namespace knell::bench
