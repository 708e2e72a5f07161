// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <span>
#include <utility>

#include "base/result.h"
#include "lib/listener_filter.h"
#include "lib/snapshot.h"
#include "wire/recording.h"

// The handle of the C ABI: base class of the listeners over the daemon, over sources in this
// process and over a recording. Not thread-safe. Each function implements the function of
// <knell/knell.h> with the same name.
struct knell_listener {
 public:
  explicit knell_listener(knell::lib::ListenerFilter filter) : filter_(std::move(filter)) {}
  knell_listener(const knell_listener&) = delete;
  knell_listener& operator=(const knell_listener&) = delete;
  virtual ~knell_listener() = default;

  virtual knell::Result<void> match(std::span<const knell::filter::Predicate> more) = 0;
  virtual knell::Result<void> add(pid_t pid, uint64_t start, uint64_t cookie) = 0;
  // Sets `error` of each process; throws only std::bad_alloc.
  virtual void add_many(std::span<knell_added> processes);
  virtual knell::Result<void> remove(pid_t pid) = 0;
  virtual knell::Result<void> set_events(uint32_t mask) = 0;
  virtual int fd() const = 0;
  virtual knell::Result<size_t> read(const knell_event** ret_events, size_t count) = 0;
  virtual knell::Result<int> snapshot(const knell::lib::Visitor& visitor) = 0;
  // `event`: nullptr: wait until all acknowledgements are committed.
  virtual knell::Result<void> ack(const knell_event*) { return not_durable(); }
  virtual knell::Result<void> mark_failed(const knell_event&) { return not_durable(); }
  virtual knell_stats stats() const = 0;  // without `size`
  // The header of a recording of this listener.
  virtual knell::wire::Origin origin() const = 0;
  // The header of the recording that it reads; nullptr: it does not read a recording.
  virtual const knell::wire::Origin* recording() const { return nullptr; }

  bool only_added() const { return filter_.subscription.only_added; }  // false: never call add()

  // The process that opened it. A forked child must not use it: it shares the sockets and buffers,
  // so it would take events from its parent.
  pid_t owner() const { return owner_; }

 protected:
  static knell::Result<void> not_durable() {
    return knell::say(EINVAL,
                      "this listener is not durable: set `durable` in the options of knell_open()");
  }

  knell::lib::ListenerFilter filter_;

 private:
  const pid_t owner_ = ::getpid();
};

namespace knell::lib {

// 0, or the error that the C ABI returns for a listener that is NULL or of another process.
int error_of_handle(const knell_listener* k);

// Check the options, and open a listener. Errors: those of knell_open(), knell_open_recording().
Result<std::unique_ptr<knell_listener>> open_listener(const knell_options* options);
Result<std::unique_ptr<knell_listener>> open_recording(const char* path,
                                                       const knell_replay_options* options);

}  // namespace knell::lib
