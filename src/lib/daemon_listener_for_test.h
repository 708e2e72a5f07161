// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/fake_server.h"
#include "lib/daemon_listener.h"
#include "lib/predicate_parser.h"

namespace knell::lib {

using client::FakeServer;

// A copy of an event, with copies of its strings.
struct Seen {
  knell_event event;
  std::string comm, user;
};

class DaemonListenerTest : public testing::Test {
 protected:
  void open(knell_options options = KNELL_OPTIONS_INIT) {
    auto opened = DaemonListener::create(options, server_.path());
    ASSERT_TRUE(opened) << opened.error().message();
    listener_ = *std::move(opened);
  }

  void open_for_added() {
    knell_options options = KNELL_OPTIONS_INIT;
    options.only_added = 1;
    open(options);
  }

  // Like knell_match().
  Result<void> match(const char* key, const char* values) {
    KNELL_ASSIGN(const auto predicates, parse_predicate(key, values));
    return listener_->match(predicates);
  }

  // Reads until there are `count` events, or reading fails.
  std::vector<Seen> read(size_t count) {
    std::vector<Seen> all;
    while (all.size() < count) {
      const knell_event* events[8];
      const auto n = listener_->read(events, 8);
      if (!n) {
        error_ = n.error();
        return all;
      }
      for (size_t i = 0; i < *n; i++) {
        const knell_event& e = *events[i];
        all.push_back({e, std::string(e.comm.data == nullptr ? "" : e.comm.data, e.comm.size),
                       std::string(e.user.data == nullptr ? "" : e.user.data, e.user.size)});
      }
      pollfd readable{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
      if (*n == 0 && ::poll(&readable, 1, 20'000) <= 0) {
        ADD_FAILURE() << "no event within 20 s";
        return all;
      }
    }
    return all;
  }

  // Handles packets of the server, none of which is an event, until `done`.
  void handle_until(const std::function<bool()>& done) {
    while (!done()) {
      const knell_event* none[1];
      const auto n = listener_->read(none, 1);
      ASSERT_TRUE(n) << n.error().message();
      ASSERT_EQ(*n, 0u);
      pollfd readable{.fd = listener_->fd(), .events = POLLIN, .revents = 0};
      ::poll(&readable, 1, 10);  // the server may be done without a packet for this listener
    }
  }

  FakeServer server_;
  std::unique_ptr<DaemonListener> listener_;
  Error error_;
};

inline knell_event event(uint32_t type, int32_t pid, uint64_t mono_ns = 1000) {
  knell_event e{};
  e.type = type;
  e.pid = e.tid = pid;
  e.mono_ns = mono_ns;
  e.has = KNELL_HAS_UID | (type == KNELL_EVENT_EXIT ? KNELL_HAS_STATUS : 0);
  e.comm = {"sh", 2};
  e.via = KNELL_VIA_BPF;
  return e;
}

inline knell_event exit_of(int32_t pid, int32_t status = 0x100) {
  knell_event e = event(KNELL_EVENT_EXIT, pid);
  e.wait_status = status;
  return e;
}

}  // namespace knell::lib
