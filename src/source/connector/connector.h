// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "filter/classic_bpf.h"
#include "source/connector/diagnosis.h"
#include "source/connector/listener_count.h"
#include "source/connector/loss.h"
#include "source/connector/receiver.h"
#include "source/connector/socket.h"
#include "source/kept.h"
#include "source/source.h"

namespace knell::source {

// Receives the events of threads. Called only from within Connector::drain().
class ThreadEvents {
 public:
  virtual ~ThreadEvents() = default;
  // An event of one thread, or a hole (what == KNELL_EVENT_LOST) at its place in the stream.
  virtual void on_raw(const event::Raw& raw) = 0;
};

struct ThreadRequest {
  uint32_t mask = 0;                   // KNELL_EVENT_* as for the kernel
  bool forks_of_threads_only = false;  // FORK events of new threads only, not of new processes
  bool operator==(const ThreadRequest&) const = default;
};

// How unwanted events are dropped before they are queued.
enum class Filtering {
  kKernel,   // the kernel's own filter, since Linux 6.6
  kClassic,  // a classic BPF program on the socket
  kNone      // nothing: all events are queued, and the reader drops them
};

struct ConnectorOptions {
  ThreadRequest wanted;
  size_t buffer_bytes = 0;  // 0: kDefaultBufferBytes
  Clock* clock = &system_clock();
  // for tests: do not use a better one, even if the kernel has it
  Filtering best = Filtering::kKernel;
  // Descriptor of a bpf program that is used as the socket's filter; it must outlive the connector.
  // -1: none.
  int program = -1;
  Kept* kept = nullptr;  // with a name for the socket: see SourceOptions
};

// A subscription to the kernel's process events connector, whose events are of threads; see
// connector.cc. Not thread-safe.
class Connector {
 public:
  // Errors, with an explanation and advice: EPERM not allowed here; EPROTONOSUPPORT this kernel or
  // namespace has no process events; EMFILE.
  static Result<std::unique_ptr<Connector>> create(const ConnectorOptions& options);
  // Continues with a socket that an earlier process left subscribed to `mask`. From here on uses
  // `options.program` as its filter. Errors: ESTALE the socket does not belong to the connector;
  // those of set_request().
  static Result<std::unique_ptr<Connector>> take_over(UniqueFd fd, uint32_t mask,
                                                      Filtering filtering,
                                                      const ConnectorOptions& options);
  ~Connector();
  // Keeps the socket subscribed when this object ends, since another process has it.
  void leave() { subscribed_ = false; }
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // These are as in Source.
  [[nodiscard]] Result<void> set_request(const ThreadRequest& wanted);
  int fd() const { return fd_.get(); }
  [[nodiscard]] Result<Drained> drain(ThreadEvents& sink, size_t bound);
  // drain() reports the hole that this detects.
  [[nodiscard]] Result<void> check_health();
  Capabilities capabilities() const;
  Counters counters() const;
  // Whether drain() has something to do although fd() is not readable.
  bool has_received() const { return ahead_ || receiver_.has_received(); }
  void save();
  void saved() { receiver_.saved(); }

  uint32_t mask() const { return mask_; }
  Filtering filtering() const { return filtering_; }
  const Buffer& buffer() const { return buffer_; }

 private:
  // A hole that is still to be reported at its place in the stream.
  struct Hole {
    uint64_t until_ns = 0;  // events with later stamps follow it
    uint64_t from_ns = 0;
  };

  struct Saved;
  Connector(UniqueFd fd, Buffer buffer, const ConnectorOptions& options);
  static Result<std::unique_ptr<Connector>> adopt(const ConnectorOptions& options);
  static Result<std::unique_ptr<Connector>> open(const ConnectorOptions& options);
  static Result<std::unique_ptr<Connector>> go_on(UniqueFd fd, uint32_t mask, Filtering filtering,
                                                  const ConnectorOptions& options);
  Result<void> connect(const Environment& here, const ConnectorProbe& probe, Filtering best);
  Result<void> ask_kernel();
  Result<void> filter_nothing();

  bool look_ahead(size_t& skipped);
  Result<bool> refill();
  bool hole_before(uint64_t stamp_ns) const;
  bool report_hole(ThreadEvents& sink);
  bool report_overflow(ThreadEvents& sink);
  void report_silence(ThreadEvents& sink, const Hole& hole) const;

  UniqueFd fd_;
  Buffer buffer_;
  Clock& clock_;
  pid_t owner_;  // a forked child must not end the subscription of its parent
  Namespaces home_;
  Filtering filtering_ = Filtering::kNone;
  uint32_t mask_;
  filter::Forks forks_;
  int program_;
  bool subscribed_ = false;
  Kept* kept_;  // nullptr: nothing is stored for the next process

  Receiver receiver_;
  std::optional<event::Raw> ahead_;  // the next event: read from the socket, not passed on yet
  uint64_t last_ns_;                 // stamp of the last event before the next hole
  uint64_t healthy_ns_;              // the last time at which events were known to arrive
  LossCounter loss_;
  std::map<uint32_t, uint64_t> lost_by_types_;  // see Counters
  uint32_t losable_;          // types that may be among the losses not reported yet
  bool mask_held_ = true;     // the mask is the same since losses were last reported
  uint64_t overflow_ns_ = 0;  // time of an overflow whose hole is still to be reported; 0: none
  // the hole of a time in which the connector sent nothing, still to be reported
  std::optional<Hole> silence_;
  SilenceDetector silence_detector_;
  uint64_t received_ = 0, repaired_ = 0;
};

}  // namespace knell::source
