// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "export/entry_budget.h"
#include "export/pump.h"

namespace knell::exporter {

// Writes an entry for each event. While there is no journal, or the budget is used up, it waits;
// then no more events are read, and knelld counts what is lost. Not thread-safe.
class JournalWriter final : public Destination {
 public:
  // Sends one entry; 0 or a negative errno, as JournalSocket::send().
  using Send = std::function<int(std::span<const std::string> fields)>;

  JournalWriter(Send send, EntryBudget budget) : send_(std::move(send)), budget_(budget) {}

  Outcome<bool> deliver(const Events& events, StopSignal& stop) override;
  uint64_t rejected() const { return rejected_; }

 private:
  bool wait_for_budget(StopSignal& stop);
  bool deliver_one(const knell_event& event, StopSignal& stop);

  Send send_;
  EntryBudget budget_;
  uint64_t rejected_ = 0;  // entries that journald can never take
  bool waiting_ = false;   // reported already
};

}  // namespace knell::exporter
