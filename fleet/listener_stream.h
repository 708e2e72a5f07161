// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <knell/knell.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "base/unique_fd.h"
#include "fleet/event_stream.h"

namespace knell::fleet {

// The events of a plain listener, which are not stored: they are numbered here, and each object is
// a journal of its own. Events that its reader does not read in time are counted by knelld as lost.
// A change of predicates opens a second listener, and reads the first one for a while longer.
class ListenerStream final : public EventStream {
 public:
  // `options`: without events. Errors: those of epoll_create1(2), timerfd_create(2).
  static Result<std::unique_ptr<ListenerStream>> create(const Options& options);

  const std::string& journal_id() const override { return journal_id_; }
  Result<void> set_wanted(const Wanted& wanted) override;
  int fd() const override { return epoll_.get(); }
  Result<std::span<const knell_event* const>> read(size_t count) override;
  Result<void> ack(uint64_t) override { return {}; }

 private:
  static constexpr size_t kMostRead = 256;

  ListenerStream(const Options& options, UniqueFd epoll, UniqueFd timer);
  Result<void> open(const Wanted& wanted);
  void close(Listener& listener);
  void end_retirement();
  bool add_lost();
  Result<size_t> take(Listener& listener, size_t count);

  Options options_;
  std::string journal_id_;
  UniqueFd epoll_, timer_;
  Wanted wanted_;
  Listener listener_, retiring_;
  bool failed_ = false;  // since the last open(): the next event is a lost event
  uint64_t failed_ns_ = 0;
  uint64_t seq_ = 0;
  std::array<knell_event, kMostRead> events_;  // with the numbers of this stream
  std::array<const knell_event*, kMostRead> pointers_;
};

}  // namespace knell::fleet
