// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
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
#include "source/source.h"

namespace knell::source {

// What drops events that are not wanted before they are queued.
enum class Filtering {
  kKernel,   // the kernel's own filter, since Linux 6.6
  kClassic,  // a classic BPF program on the socket
  kNone      // nothing: all events are queued, and the reader drops them
};

struct ConnectorOptions {
  SourceRequest wanted;
  size_t buffer_bytes = 0;  // 0: kDefaultBufferBytes
  Clock* clock = &system_clock();
  Filtering best = Filtering::kKernel;  // for tests: use nothing better, even if the kernel has it
  // Descriptor of a bpf program that is used as the socket's filter; it must outlive the connector.
  // -1: none.
  int program = -1;
};

// The kernel's process events connector; see connector.cc. Not thread-safe.
class Connector : public Source {
 public:
  // Errors, with an explanation and advice: EPERM not allowed here; EPROTONOSUPPORT this kernel or
  // namespace has no process events; EMFILE.
  static Result<std::unique_ptr<Connector>> create(const ConnectorOptions& options);
  ~Connector() override;
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  [[nodiscard]] Result<void> set_request(const SourceRequest& wanted) override;
  int fd() const override { return fd_.get(); }
  [[nodiscard]] Result<Drained> drain(Sink& sink, size_t bound) override;
  [[nodiscard]] Result<void> check_health(Sink& sink) override;
  Capabilities capabilities() const override;
  Counters counters() const override;

  Filtering filtering() const { return filtering_; }
  const Buffer& buffer() const { return buffer_; }

 private:
  // A hole in the stream that is still to be reported, at its place.
  struct Hole {
    uint64_t until_ns = 0;  // events with later stamps come after it
    uint64_t from_ns = 0;
  };

  Connector(UniqueFd fd, Buffer buffer, const ConnectorOptions& options);
  Result<void> connect(const Environment& here, const ConnectorProbe& probe, Filtering best);
  Result<void> ask_kernel();
  Result<void> filter_nothing();

  bool look_ahead(size_t& skipped);
  Result<bool> refill();
  bool hole_before(uint64_t stamp_ns) const;
  bool report_hole(Sink& sink);
  bool report_overflow(Sink& sink);
  void report_deafness(Sink& sink, const Hole& hole);

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

  Receiver receiver_;
  std::optional<event::Raw> ahead_;  // read, not passed on yet
  uint64_t last_ns_;                 // stamp of the last event before the next hole
  uint64_t healthy_ns_;              // when events were last known to arrive
  LossCounter loss_;
  uint32_t losable_;          // types that may have been dropped since losses were last reported
  bool mask_held_ = true;     // the mask has not changed since then
  uint64_t overflow_ns_ = 0;  // time of an overflow whose hole is not reported yet; 0: none
  std::optional<Hole> deafness_;  // the hole of a time without events, not reported yet
  SilenceDetector silence_detector_;
  uint64_t received_ = 0, repaired_ = 0;
};

}  // namespace knell::source
