// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string>

#include "cli/failure.h"
#include "cli/screen.h"

namespace knell::cli {

// How a stream of events is shown. Appends to `out`, which is written at the end of each batch.
class View {
 public:
  View() = default;
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  virtual ~View() = default;
  virtual void begin(std::string& out) = 0;
  virtual void add(const knell_event& event, std::string& out) = 0;
  // Called after each batch, while its events are still valid. False: the reader has closed the
  // pipe.
  virtual Outcome<bool> commit() { return true; }
  virtual void tick(std::string&) {}    // every --interval
  virtual void finish(std::string&) {}  // after the last event
  virtual void resize(const Screen&) {}
};

class JsonView final : public View {
 public:
  void begin(std::string&) override {}
  void add(const knell_event& event, std::string& out) override;
};

}  // namespace knell::cli
