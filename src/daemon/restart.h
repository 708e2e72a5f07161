// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/config.h"
#include "daemon/journal_backlog.h"
#include "handover/handover.h"
#include "server/saved_clients.h"
#include "source/kept.h"

namespace knell::daemon {

// What a daemon takes over from the one that ran before it. Order: begin(); the clients are
// restored and the sources opened; finish(); forget() when all of it is saved again.
class Restart {
 public:
  // The kinds of the daemon's records in handover::State.
  static constexpr uint32_t kProcesses = server::kFirstOfDaemon;    // of the source of processes
  static constexpr uint32_t kNumbers = server::kFirstOfDaemon + 1;  // of datagrams, u32 by CPU
  static constexpr uint32_t kThreads = server::kFirstOfDaemon + 2;  // of the source of threads
  static constexpr uint32_t kJournalEvent = server::kFirstOfDaemon + 3;  // of JournalBacklog
  static constexpr uint32_t kJournalDone = server::kFirstOfDaemon + 4;

  // Reads the state that was stored, and makes a new one if there is none that can be used. If the
  // keeper stores nothing, there is no state. `handover` must outlive it.
  static Restart begin(handover::Handover& handover, const Config& config);
  Restart(Restart&& other) noexcept = default;

  handover::Handover& handover() { return *handover_; }
  source::Kept& processes() { return processes_; }
  source::Kept& threads() { return threads_; }
  // This process ends, and the next one goes on with the sources.
  void leave() { processes_.leaving = threads_.leaving = true; }
  server::SavedClients& clients() { return clients_; }
  const std::string& numbers() const { return numbers_; }

  JournalBacklog& journal() { return journal_; }

  // Logs what became of it, and drops what no source took over. `threads`: that source is open.
  void finish(size_t clients, size_t failed_clients, bool threads);
  // The daemon before this one was stopped `away_ns` ago; of the processes that were alive so many
  // ended since, and the journal gets the exits of so many.
  void add_stop(uint64_t away_ns, size_t ended, size_t stored);
  // Frees the memory of the records.
  void forget();

  struct Report {
    bool lost = false;          // events of processes were lost
    bool lost_threads = false;  // events of threads were lost
    uint64_t clients = 0, failed_clients = 0;
    std::string text;  // a sentence, for the log and `knell doctor`
  };
  // nullopt: there was no earlier daemon.
  const std::optional<Report>& report() const { return report_; }

 private:
  Restart(handover::Handover& handover, const Config& config)
      : handover_(&handover),
        processes_{.handover = handover, .kind = kProcesses},
        threads_{.handover = handover, .kind = kThreads, .socket = "netlink.threads"},
        journal_(kJournalEvent, kJournalDone, 2 * config.journal.queue_bytes) {}  // of the recorder
  Result<void> adopt(const handover::State::Identity& identity);
  Result<void> read();

  handover::Handover* handover_;
  source::Kept processes_, threads_;
  server::SavedClients clients_;
  JournalBacklog journal_;
  std::string numbers_;
  bool any_ = false;      // something was stored
  std::string unusable_;  // why the state was not used; empty: it was
  std::optional<Report> report_;
};

}  // namespace knell::daemon
