// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A program on libknell: poll, knell_read, and a store an event, in the library's own shape.
#include <knell/knell.h>
#include <poll.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "bench/frame/contender.h"
#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

void handle(Board& board, const knell_event& event) {
  switch (event.type) {
    case KNELL_EVENT_FORK:
      board.tell(KNELL_EVENT_FORK, event.child_pid);
      break;
    case KNELL_EVENT_EXEC:
      board.tell(KNELL_EVENT_EXEC, event.pid);
      break;
    case KNELL_EVENT_EXIT:
      board.tell(KNELL_EVENT_EXIT, event.pid);
      if ((event.has & KNELL_HAS_STATUS) != 0 && event.wait_status == kMarkerStatus << 8)
        board.tell_marker(event.pid, now_ns());
      break;
    case KNELL_EVENT_LOST:
      board.lost += event.lost_count == 0 ? 1 : event.lost_count;
      break;
    default:
      break;
  }
}

int failed(Board& board, ssize_t error) {
  std::snprintf(board.why, sizeof board.why, "%s", knell_explain());
  return static_cast<int>(-error);
}

knell_options options_of(const LibraryOptions& wish) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = wish.events;
  options.details = wish.details;
  options.via = wish.via;
  options.latency_ns = wish.latency_ns;
  options.buffer_bytes = wish.buffer_bytes;
  return options;
}

int read_all(Board& board, knell_listener* listener) {
  std::array<const knell_event*, 64> events{};
  ssize_t count = 0;
  while ((count = knell_read(listener, events.data(), events.size())) > 0) {
    for (ssize_t i = 0; i < count; ++i) handle(board, *events[static_cast<size_t>(i)]);
  }
  return count < 0 ? failed(board, count) : 0;
}

int listen(Board& board, int stop_fd, const LibraryOptions& wish) {
  const knell_options options = options_of(wish);
  knell_listener* listener = nullptr;
  if (const int error = knell_open(&options, &listener); error < 0) return failed(board, error);
  board.ready = 1;
  std::array<pollfd, 2> wait{pollfd{.fd = knell_fd(listener), .events = POLLIN, .revents = 0},
                             pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0}};
  int error = 0;
  while (error == 0) {
    if (::poll(wait.data(), wait.size(), -1) < 0) continue;
    if (wait[1].revents != 0) break;
    error = read_all(board, listener);
  }
  knell_close(listener);
  return error;
}

}  // namespace

std::unique_ptr<Contender> make_library(std::string name, const LibraryOptions& options) {
  return std::make_unique<InProcess>(
      std::move(name), options.events,
      [=](Board& board, int stop_fd) { return listen(board, stop_fd, options); });
}

std::optional<std::string> why_no_source(const char* via) {
  const knell_options options = options_of({.events = KNELL_EVENT_EXIT, .via = via});
  knell_listener* listener = nullptr;
  if (knell_open(&options, &listener) < 0) return knell_explain();
  knell_close(listener);
  return std::nullopt;
}

}  // namespace knell::bench
