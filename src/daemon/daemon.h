// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/config.h"
#include "daemon/durable_listeners.h"
#include "daemon/exit_counts.h"
#include "daemon/history_pages.h"
#include "daemon/journal.h"
#include "daemon/pipeline.h"
#include "daemon/rate.h"
#include "daemon/restart.h"
#include "daemon/status.h"
#include "daemon/stopped_processes.h"
#include "feed/alarm.h"
#include "filter/redact.h"
#include "hub/hub.h"
#include "server/server.h"
#include "server/wire_event_encoder.h"

namespace knell::daemon {

// The sources, the hub and the server. Not thread-safe, never blocks. See daemon.cc.
class Daemon final : private server::DaemonInterface {
 public:
  // Opens the sources, which needs privileges; the caller may drop them afterwards. `handover`: has
  // the state and descriptors of the earlier daemon, and stores those for the next one; may be
  // without a keeper. Must outlive the daemon.
  static Result<std::unique_ptr<Daemon>> create(const Config& config, UniqueFd listening,
                                                handover::Handover& handover);
  ~Daemon() override = default;  // waits for the disk, unless stop() was called

  // At the end of this daemon, send clients no BYE: they stay connected to the next daemon.
  void leave_quietly() {
    server_->leave_quietly();
    leaves_quietly_ = true;
  }
  // Starts to write the journal, with the remaining privileges.
  Result<void> start_journal();
  // Call when the daemon is about to stop: makes a list of the living processes, by which the next
  // daemon determines which of them ended meanwhile. stop() writes the list.
  void remember_living_processes();
  // Ends the connections and, when all events are written, the threads. Waits a few seconds for a
  // disk that does not answer. Returns whether the threads have ended; if not, the process must end
  // by _exit(2). Afterwards this object can only be destroyed.
  bool stop();

  int fd() const { return epoll_.get(); }     // when readable, call serve()
  Result<void> serve();                       // an error is fatal: the daemon must exit
  Result<void> reload(const Config& config);  // keeps all connections
  std::string status_json() const;            // one object
  std::string summary() const;                // "via bpf and the connector; 12 listeners, 3 users"

 private:
  Daemon(const Config& config, Restart restart);
  Result<void> start(UniqueFd listening, handover::Handover& handover);
  void report_restart(size_t failed_clients);

  // DaemonInterface
  Result<void> interest_grown(const hub::Listener& listener) override;
  Result<bool> scan_live_processes(Scan what) override;
  void interest_shrunk() override;
  Result<std::unique_ptr<server::Snapshot>> begin_snapshot(const hub::Listener& listener) override;
  Result<void> follow(int32_t pid, uint64_t start) override;
  void unfollow(int32_t pid) override;
  wire::Origin origin() const override;
  std::string status_json(const server::Peer& peer) const override;
  event::Raw make_ack(uint32_t error, uint32_t ack) override;
  void save() override;
  Result<Done> attach_durable(server::ConnectionFromClient& client,
                              const wire::Durable& durable) override;
  Result<Done> acknowledge_durable(server::ConnectionFromClient& client,
                                   const wire::Acknowledge& acknowledge) override;
  Result<Done> forget_durable(server::ConnectionFromClient& client,
                              const wire::Forget& forget) override;
  Result<void> read_history(server::ConnectionFromClient& client, const wire::History& asked,
                            hub::Filter filter) override;
  void detach_durable(server::ConnectionFromClient& client) override;
  void continue_durable(server::ConnectionFromClient& client) override;

  filter::Interest wanted_of(std::initializer_list<filter::Stream> streams) const;
  filter::Latency latency_of(std::initializer_list<filter::Stream> streams) const;
  Result<void> set_interest(Pipeline& pipeline, const filter::Interest& interest,
                            const filter::Latency& latency);
  Result<void> set_exact_interest();
  void add_owners(filter::Interest& interest, bool threads) const;
  void keep_births();
  filter::Interest base_interest() const;
  filter::Interest journal_interest() const;
  uint32_t journal_details() const;
  void redact(event::Batch& batch, event::Slot& slot);
  void on_event(event::Batch& batch, event::Slot& slot);
  bool store(const event::Slot& slot);
  void write(const knell_event& event);
  void note_restart(int64_t last_ns);
  void on_journal_progress();
  void report_unwritten(bool ended);
  void take_ended_meanwhile();
  void store_ended_meanwhile();
  Result<void> open_durable();
  bool is_journal_open() const { return durable_ != nullptr && durable_->is_started(); }
  void arm();
  Status status_for(const server::Peer* peer) const;
  void add_sources(Status& status) const;

  Config config_;
  Restart restart_;
  bool leaves_quietly_ = false;
  bool saves_ = false;       // save() has something to do
  bool saves_whole_ = true;  // the next save() writes a whole snapshot
  Clock& clock_ = system_clock();
  UniqueFd epoll_;
  feed::Alarm alarm_;
  server::WireEventEncoder encoder_;
  hub::Hub hub_;
  Pipeline processes_, threads_;
  // nullptr: the journal is disabled; then history_ is nullptr, too
  std::unique_ptr<DurableListeners> durable_;
  std::unique_ptr<HistoryPages> history_;
  std::unique_ptr<server::Server> server_;   // its clients call durable_ and history_
  std::optional<LivingProcessList> living_;  // while the daemon is being stopped
  EndedMeanwhile ended_meanwhile_;           // until start_journal()
  ExitCounts exits_;
  Rate rate_;
  filter::Redactor redactor_;
  uint64_t shrink_ns_ = 0;  // when to reduce the request to the sources; 0: never
  uint64_t started_ns_;
  int64_t started_time_ns_;
  uint64_t wakeups_ = 0;
};

}  // namespace knell::daemon
