// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <knell/knell.hpp>
#include <string>
#include <vector>

#include "export/failure.h"

namespace knell::exporter {

// The events that an export receives from knelld, a batch at a time, and how far they have been
// delivered. This is the only class that knows what kind of listener it is: a durable one, whose
// events wait in the journal of knelld until they are delivered, also while this process does not
// run; or a plain one, whose events wait in a queue of knelld while this process is connected, and
// what does not fit into it is lost. Losses are reported in their place in the stream. While a
// batch is not delivered no more events are read, so an export needs no queue of its own. Not
// thread-safe.
class Intake {
 public:
  static constexpr size_t kBatch = 512;  // as OpenTelemetry's batch processors

  struct Options {
    uint32_t events = KNELL_EVENT_NONZERO_EXIT;
    uint32_t details = KNELL_DETAILS_FULL;
    std::chrono::nanoseconds latency = std::chrono::seconds(1);
    std::vector<std::string> matches;  // KEY=VALUE, as for knell_match()
    std::string durable;               // the name of the durable listener; empty: a plain one
  };
  struct Counts {
    uint64_t delivered = 0;  // events that the destination has taken or refused, without lost ones
    uint64_t lost = 0;       // as far as their number is known
    uint64_t losses = 0;     // events of type lost
  };

  // Errors: kUsage an invalid predicate; kNothingHere knelld does not run, has no journal, or
  // refuses.
  static Outcome<Intake> create(const Options& options);

  int fd() const { return listener_.fd(); }
  // The next events, at most kBatch, valid until the next call; empty: none now. The batch before
  // must have been delivered. Errors: kNothingHere knelld closed the connection for good.
  Outcome<Events> take();
  // The destination has all events of the last batch: they do not come again.
  void delivered();
  // Waits a few seconds at most until that is in the journal of knelld. Without it the last batches
  // may come again.
  void settle();
  size_t pending() const { return taken_; }  // events of a batch that is not delivered
  const Counts& counts() const { return counts_; }
  bool connected() const;  // false: knelld is away, and the library tries to connect again

 private:
  Intake(Listener listener, bool durable) : listener_(std::move(listener)), durable_(durable) {}

  Listener listener_;
  bool durable_;
  std::array<const knell_event*, kBatch> pointers_{};
  size_t taken_ = 0;
  Counts counts_;
};

}  // namespace knell::exporter
