// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <deque>
#include <knell/knell.hpp>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/unique_fd.h"
#include "fleet/event_stream.h"

namespace knell::fleet {

// The events of a durable listener of knelld. They stay in the journal of knelld until they are
// acknowledged, also while this process does not run. While no events are wanted, knelld has no
// listener with this name and stores nothing for it.
class DurableStream final : public EventStream {
 public:
  // At most this many events are read and not yet acknowledged; then reading stops.
  static constexpr uint32_t kMostUnacked = 16384;

  // `options`: without events and name. Errors: the same as of epoll_create1(2).
  static Result<std::unique_ptr<DurableStream>> create(const Options& options, std::string name);

  const std::string& id() const override { return id_; }
  Result<void> set_wanted(const Wanted& wanted) override;
  int fd() const override { return epoll_.get(); }
  Result<std::span<const knell_event* const>> read(size_t count) override;
  Result<void> ack(const std::string& cursor) override;

 private:
  static constexpr size_t kMostRead = 256;

  DurableStream(const Options& options, std::string name, UniqueFd epoll);
  Result<void> open(const Wanted& wanted);
  void close();
  void forget();
  // Records the event as read and not acknowledged. Returns false if the event was read before.
  bool note_read(const knell_event& event);

  Options options_;
  std::string name_, id_;
  UniqueFd epoll_;
  Wanted wanted_;
  Listener listener_;
  uint64_t seq_ = 0;
  // Cursor and type of the events that were read and not acknowledged, oldest first. After a
  // reconnect to knelld, and after a change of predicates, knelld delivers them again, before all
  // other events. again_ has the keys of these events during the redelivery, and is empty
  // otherwise.
  std::deque<std::string> unacked_;
  std::unordered_set<std::string> again_;
  std::array<knell_event, kMostRead> events_;  // with the numbers of this stream
  std::array<const knell_event*, kMostRead> pointers_;
};

}  // namespace knell::fleet
