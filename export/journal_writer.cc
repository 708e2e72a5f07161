// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/journal_writer.h"

#include <cerrno>
#include <cstring>
#include <vector>

#include "export/journal_entry.h"
#include "export/message.h"

namespace knell::exporter {
namespace {

constexpr std::chrono::milliseconds kRetry{500}, kBusy{5};  // picked, never tuned

// Errors after which the same entry may be accepted later: journald restarts, or memory is short.
bool may_pass(int error) {
  return error == ENOENT || error == ECONNREFUSED || error == ENOTCONN || error == ECONNRESET ||
         error == ENOBUFS || error == ENOMEM || error == EMFILE || error == ENFILE;
}

}  // namespace

bool JournalWriter::wait_for_budget(StopSignal& stop) {
  bool reported = false;
  for (;;) {
    const auto wait = budget_.take(std::chrono::steady_clock::now());
    if (wait.count() == 0) return true;
    if (!reported) message("--rate is reached; events wait in the queue of knelld");
    reported = true;
    if (stop.wait(-1, wait)) return false;
  }
}

bool JournalWriter::deliver_one(const knell_event& event, StopSignal& stop) {
  if (!wait_for_budget(stop)) return false;
  const std::vector<std::string> entry = entry_of(event);
  for (;;) {
    const int error = -send_(entry);
    if (error == 0) {
      waiting_ = false;
      return true;
    }
    if (error == EAGAIN) {
      if (stop.wait(-1, kBusy)) return false;
      continue;
    }
    if (!may_pass(error)) {
      ++rejected_;
      message("journald refuses an entry: {}: {}", std::strerror(error), entry.front());
      return true;
    }
    if (!waiting_) message("journald does not answer: {}; events wait", std::strerror(error));
    waiting_ = true;
    if (stop.wait(-1, kRetry)) return false;
  }
}

Outcome<bool> JournalWriter::deliver(const Events& events, StopSignal& stop) {
  for (const knell_event& event : events) {
    if (!deliver_one(event, stop)) return false;
  }
  return true;
}

}  // namespace knell::exporter
