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
#include "source/connector/heal.h"
#include "source/connector/loss.h"
#include "source/connector/receiver.h"
#include "source/connector/socket.h"
#include "source/source.h"

namespace knell::source {

// Who drops what nobody wants before it is queued.
enum class Filtering {
  kKernel,   // the kernel's own filter, from Linux 6.6 on
  kClassic,  // a classic BPF program on the socket
  kNone      // nobody: all events come, and we drop them
};

struct ConnectorOptions {
  Wanted wanted;
  size_t buffer_bytes = 0;  // 0: kDefaultBufferBytes
  Clock* clock = &system_clock();
  Filtering best = Filtering::kKernel;  // for tests: the most to be used, where the kernel has it
  int program = -1;  // a bpf program to be the socket's filter; it must outlive the connector
};

// The kernel's process events connector; see connector.cc.
class Connector : public Source {
 public:
  // Errors, in words that say what would help: EPERM not allowed here; EPROTONOSUPPORT this kernel
  // or namespace has no such events; EMFILE.
  static Result<std::unique_ptr<Connector>> create(const ConnectorOptions& options);
  ~Connector() override;
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  [[nodiscard]] Result<void> want(const Wanted& wanted) override;
  int fd() const override { return fd_.get(); }
  [[nodiscard]] Result<Drained> drain(Sink& sink, size_t bound) override;
  [[nodiscard]] Result<void> check_health(Sink& sink) override;
  Capabilities capabilities() const override;
  Counters counters() const override;

  Filtering filtering() const { return filtering_; }
  const Buffer& buffer() const { return buffer_; }

 private:
  // A hole that is known of, to be told where it is.
  struct Hole {
    uint64_t until_ns = 0;  // events stamped later lie behind it
    uint64_t from_ns = 0;
  };

  Connector(UniqueFd fd, Buffer buffer, const ConnectorOptions& options);
  Result<void> connect(const Surroundings& here, const Probe& probe, Filtering best);
  Result<void> ask_kernel();
  Result<void> filter_nothing();

  bool look_ahead(size_t& skipped);
  Result<bool> refill();
  bool hole_before(uint64_t stamp_ns) const;
  bool tell_hole(Sink& sink);
  bool tell_overflow(Sink& sink);
  void tell_deafness(Sink& sink, const Hole& hole);

  UniqueFd fd_;
  Buffer buffer_;
  Clock& clock_;
  pid_t owner_;  // a forked child must not unsubscribe its parent
  Namespaces home_;
  Filtering filtering_ = Filtering::kNone;
  uint32_t mask_;
  filter::Forks forks_;
  int program_;
  bool subscribed_ = false;

  Receiver receiver_;
  std::optional<event::Raw> ahead_;  // read, not told yet
  uint64_t last_ns_;                 // stamp of the last event before anything that is to come
  uint64_t healthy_ns_;              // events came at that time
  LossCounter loss_;
  uint32_t losable_;          // what may have been dropped since losses were last looked at
  bool mask_held_ = true;     // it was the same mask all that time
  uint64_t overflow_ns_ = 0;  // ENOBUFS was told then, the hole not yet
  std::optional<Hole> deafness_;
  DeafHistory deaf_history_;
  uint64_t received_ = 0, healed_ = 0;
};

}  // namespace knell::source
