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

// The state and descriptors that a daemon takes over from the one before it. Order: begin();
// restore the clients and open the sources; finish(); forget() when everything is saved again.
class Restart {
 public:
  // The kinds of the daemon's records in handover::State.
  // kProcesses and kThreads: records of these sources; kNumbers: sequence numbers of datagrams, u32
  // by CPU; kJournalEvent: records of JournalBacklog; kNewest: Newest.
  static constexpr uint32_t kProcesses = server::kFirstOfDaemon;
  static constexpr uint32_t kNumbers = server::kFirstOfDaemon + 1;
  static constexpr uint32_t kThreads = server::kFirstOfDaemon + 2;
  static constexpr uint32_t kJournalEvent = server::kFirstOfDaemon + 3;
  static constexpr uint32_t kJournalDone = server::kFirstOfDaemon + 4;
  static constexpr uint32_t kNewest = server::kFirstOfDaemon + 5;

  // Reads the stored state, and creates a new one if there is none or it cannot be used. Without a
  // keeper there is no state. `handover` must outlive this object.
  static Restart begin(handover::Handover& handover, const Config& config);
  Restart(Restart&& other) noexcept = default;

  handover::Handover& handover() { return *handover_; }
  source::Kept& processes() { return processes_; }
  source::Kept& threads() { return threads_; }
  // This process ends, and the next one continues with the sources.
  void leave() { processes_.leaving = threads_.leaving = true; }
  server::SavedClients& clients() { return clients_; }
  const std::string& numbers() const { return numbers_; }

  // The state of an earlier daemon is used.
  bool took_over() const { return any_ && unusable_.empty(); }
  // Pipeline::newest_ns() of each pipeline.
  struct Newest {
    uint64_t processes_ns = 0, threads_ns = 0;
    bool operator==(const Newest&) const = default;
  };
  // Of the earlier daemon; 0 if its state does not have them.
  const Newest& newest() const { return newest_; }
  // Appends them to the state if they have changed, or if `whole`.
  void save_newest(const Newest& newest, bool whole);

  JournalBacklog& journal() { return journal_; }

  // Logs the result, and removes the descriptors that no source took over. `threads`: the source of
  // threads is open.
  void finish(size_t clients, size_t failed_clients, bool threads);
  // The daemon before this one was stopped `away_ns` ago. `ended` of the living processes have
  // ended since, and the exits of `stored` of them are in the journal.
  void add_stop(uint64_t away_ns, size_t ended, size_t stored);
  // Frees the memory of the records.
  void forget();
  // Call after a commit: logs when the state gets broken and when it is not broken any more.
  void report_broken();

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
        // queue of the recorder
        journal_(kJournalEvent, kJournalDone, 2 * config.journal.queue_bytes) {}
  Result<void> adopt(const handover::State::Identity& identity, size_t bytes);
  Result<void> read();

  handover::Handover* handover_;
  source::Kept processes_, threads_;
  server::SavedClients clients_;
  JournalBacklog journal_;
  Newest newest_;  // the last ones that were read from or saved to the state
  std::string numbers_;
  bool any_ = false;      // there are descriptors of an earlier daemon
  bool broken_ = false;   // as last reported
  std::string unusable_;  // why the state was not used; empty: it was used
  std::optional<Report> report_;
};

}  // namespace knell::daemon
