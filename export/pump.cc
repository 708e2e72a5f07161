// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/pump.h"

#include <systemd/sd-daemon.h>

#include <string>

#include "export/message.h"

namespace knell::exporter {
namespace {

// knell_fd() may become readable for events that are delivered a little later, so one read per
// wakeup is enough.
Outcome<bool> deliver_some(Intake& intake, Destination& destination, StopSignal& stop) {
  for (;;) {
    auto events = intake.take();
    if (!events) return std::unexpected(std::move(events).error());
    if (events->empty()) return true;
    auto done = destination.deliver(*events, stop);
    if (!done || !*done) return done;
    intake.delivered();
    if (stop.arrived()) return false;
  }
}

}  // namespace

Outcome<int> pump(Intake& intake, Destination& destination, StopSignal& stop) {
  sd_notify(0, "READY=1");
  Outcome<bool> going = true;
  while (going && *going) {
    if (stop.wait(intake.fd(), std::chrono::milliseconds(-1))) break;
    going = deliver_some(intake, destination, stop);
  }
  sd_notify(0, "STOPPING=1");
  intake.settle();
  const Intake::Counts& counts = intake.counts();
  message("{} events delivered, {}{} lost, {} not delivered before the stop", counts.delivered,
          counts.losses > 0 && counts.lost == 0 ? "an unknown number" : "",
          counts.losses > 0 && counts.lost == 0 ? "" : std::to_string(counts.lost),
          intake.pending());
  if (!going) return std::unexpected(std::move(going).error());
  return kDone;
}

}  // namespace knell::exporter
