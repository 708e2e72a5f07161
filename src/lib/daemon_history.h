// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/connection_to_server.h"
#include "lib/history_listener.h"
#include "wire/event.h"
#include "wire/protocol.h"

namespace knell::lib {

// Reads the journal through knelld, which returns the events that this user may see. See
// daemon_history.cc.
class DaemonHistory final : public HistoryListener {
 public:
  // `options` must be valid. `path`: of the socket. Waits for the daemon's hello for a few seconds
  // at most. Errors: those of client::ConnectionToServer.
  static Result<std::unique_ptr<DaemonHistory>> create(const knell_history_options& options,
                                                       const std::string& path);

  Result<size_t> read(const knell_event** ret_events, size_t count) override;
  knell_stats stats() const override;

 private:
  DaemonHistory(const knell_history_options& options, std::string path);
  Result<void> open();
  Result<void> probe(client::ConnectionToServer& connection) const;
  Result<void> check(const wire::Ack& ack) const;

  void start();
  Result<void> read_some(const knell_event** ret_events, size_t most, size_t& n);
  Result<bool> next(knell_event& event);
  bool wants_in_this_pass(knell_event& event);
  void finish_counting();
  void on_out_of_memory() noexcept;
  void arm();
  bool is_over() const { return end_ && options_.follow == 0 && !counting_; }
  Result<void> request_page();
  wire::History page_request() const;
  Result<bool> receive();
  Result<void> on_ack(const wire::Ack& ack);
  Result<void> on_lost_connection(Error error);
  void try_again(uint64_t after_ns);
  Result<void> reconnect();

  const std::string path_;
  std::optional<client::ConnectionToServer> connection_;  // nullopt: it was lost
  wire::ServerHello hello_;
  std::vector<char> buffer_;

  std::optional<uint32_t> awaited_;  // the request that was sent and not yet acked
  std::string arriving_;             // events of the page that is being received
  std::optional<wire::Page> head_;
  std::string events_;  // events of the page that is being returned; slots_ points into it
  std::optional<wire::EventReader> reader_;
  wire::HistoryPlace begin_, place_;  // start of this page and of the next one
  bool end_ = false;                  // there are no more events now, except those in reader_

  uint64_t retry_ns_ = 0;  // when to request again; 0: now
  uint64_t lost_ns_ = 0;   // when the connection was lost
  uint64_t retry_after_ns_ = 0;

  // `last` with `under`: a first pass counts the events, since the daemon cannot evaluate `under`.
  bool counting_ = false;
  std::deque<int64_t> last_;  // seqs of the newest matching events
  int64_t first_seq_ = 0;     // earlier events are not returned
  bool started_ = false;
};

}  // namespace knell::lib
