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

// Receives the events of an export from knelld in batches, and records which of them were
// delivered. This is the only class that knows the kind of the listener. The events of a durable
// listener wait in the journal of knelld until they are delivered, also while this process does not
// run. The events of a plain listener wait in a queue of knelld while this process is connected;
// events that do not fit in the queue are lost. A loss is reported at its place in the stream.
// While a batch is not delivered, no more events are read, so an export needs no queue of its own.
// Not thread-safe.
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

  // Errors: kUsage: an invalid predicate; kNothingHere: knelld does not run, has no journal, or
  // refuses the listener.
  static Outcome<Intake> create(const Options& options);

  int fd() const { return listener_.fd(); }
  // The next events, at most kBatch, valid until the next call; empty: there are none now. The
  // batch before must have been delivered. Errors: kNothingHere: knelld closed the connection for
  // good.
  Outcome<Events> take();
  // Call when the destination has all events of the last batch. They are not delivered again.
  void delivered();
  // Waits a few seconds at most until knelld has stored the acknowledgements in its journal.
  // Otherwise the last batches may be delivered again.
  void settle();
  size_t pending() const { return taken_; }  // events of a batch that is not delivered
  const Counts& counts() const { return counts_; }
  bool connected() const;  // false: there is no connection now; the library tries to reconnect

 private:
  Intake(Listener listener, bool durable) : listener_(std::move(listener)), durable_(durable) {}

  Listener listener_;
  bool durable_;
  std::array<const knell_event*, kBatch> pointers_{};
  size_t taken_ = 0;
  Counts counts_;
};

}  // namespace knell::exporter
