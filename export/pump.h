// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "export/failure.h"
#include "export/intake.h"
#include "export/stop_signal.h"

namespace knell::exporter {

// Where events go.
class Destination {
 public:
  Destination() = default;
  Destination(const Destination&) = delete;
  Destination& operator=(const Destination&) = delete;
  virtual ~Destination() = default;

  // Delivers the events, and waits until it has; false: the signal arrived before.
  virtual Outcome<bool> deliver(const Events& events, StopSignal& stop) = 0;
};

// Tells systemd that the service has started, then delivers batch after batch until the signal
// arrives. Reports the counts at the end.
Outcome<int> pump(Intake& intake, Destination& destination, StopSignal& stop);

}  // namespace knell::exporter
