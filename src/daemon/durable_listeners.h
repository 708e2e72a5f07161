// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/age_clock.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/durable_pages.h"
#include "daemon/status.h"
#include "filter/predicates.h"
#include "hub/hub.h"
#include "journal/recorder.h"
#include "server/connection_from_client.h"
#include "server/daemon_interface.h"
#include "wire/protocol.h"

namespace knell::daemon {

// The durable listeners of the journal: which events must be stored for them, and the connections
// that use them. Belongs to the main thread; never blocks. See durable_listeners.cc.
class DurableListeners {
 public:
  using Done = server::DaemonInterface::Done;
  using Client = server::ConnectionFromClient;
  struct Options {
    std::string path;  // of the journal
    // Starts the recorder; `on_progress` is passed to the Recorder.
    std::function<std::unique_ptr<journal::Recorder>(std::function<void()> on_progress)> start;
    std::function<void(Client&)> resume;  // Server::resume()
    std::function<uint32_t(uint32_t uid)> owner_of;
    // Hub::may_claim()
    std::function<Result<void>(const hub::Users::Account& used, hub::Users::Claim less,
                               hub::Users::Claim more)>
        may_claim;
    size_t most_per_user = 0;
    // Called by on_ready() when interests() has changed because of the names in the journal.
    // kMissed: create() did not get all of them, so their events until now were not stored.
    enum class Missed { kNo, kYes };
    std::function<void(Missed)> interests_changed = {};
  };

  // `names`: the names in the journal. wants() covers their events from here on; start() begins to
  // write and to read the journal.
  static Result<std::unique_ptr<DurableListeners>> create(
      Options options, const std::vector<journal::DurableName>& names,
      Clock& clock = system_clock());

  void start();
  // Stops the threads when the journal has all events that were added, and its writer has called
  // `at_end`.
  void request_stop(std::function<void()> at_end);
  // Waits for the end of the threads until the deadline. false: a thread still waits for the disk.
  // Then this object must not be destroyed.
  bool await_end(std::chrono::steady_clock::time_point deadline) {
    return recorder_->await_end(deadline) && pages_->await_end(deadline);
  }
  bool is_started() const { return recorder_ != nullptr; }
  // All other functions require start(), except wants(), interests() and empty().
  // The last progress, without answers.
  const journal::Recorder::Progress& progress() const { return progress_; }
  journal::Recorder& recorder() { return *recorder_; }
  const journal::Recorder& recorder() const { return *recorder_; }
  int fd() const { return event_.get(); }  // when readable, call on_ready()
  void on_ready();
  // When to call on_ready() even if fd() is not readable; CLOCK_MONOTONIC, 0: never, 1: now.
  uint64_t due_ns() const { return pages_->due_ns(); }
  void set_most_per_user(size_t most) { options_.most_per_user = most; }

  // The durable listeners that want an event.
  struct Wanted {
    bool any = false;
    uint32_t details = KNELL_DETAILS_STATUS;  // the details that they need, enum knell_details
    uint32_t marks = 0;  // exclusion_bit() of the listeners that exclude the event
  };
  Wanted wants(const knell_event& event, const filter::Ancestry& ancestry) const;
  // What the sources must report for all names, with and without a connection.
  std::vector<filter::Interest> interests() const;
  bool has_user_scopes() const;
  bool empty() const { return names_.empty(); }

  // The functions of server::DaemonInterface.
  Result<Done> attach(Client& client, const wire::Durable& durable);
  Result<Done> acknowledge(Client& client, const wire::Acknowledge& acknowledge);
  Result<Done> forget(Client& client, const wire::Forget& forget);
  void detach(Client& client);
  void resume_reading(Client& client);

  // The durable listeners of one uid; nullopt: of all users.
  std::vector<Status::Durable> status(std::optional<uint32_t> uid) const;

 private:
  using Key = std::pair<uint32_t, std::string>;  // owner and name
  struct Name {
    std::shared_ptr<const journal::DurableFilter> filter;  // without `under`
    std::vector<filter::Root> excluded_roots;              // set by the connection
    filter::Interest interest;
    uint32_t account = 0;     // of the row
    hub::Users::Claim claim;  // of the filter, see may_claim()
    uint32_t exclusion = 0;
    uint32_t details = KNELL_DETAILS_FULL;
    bool every_user = true, recover = false;
  };
  // Events that were sent and are not acknowledged.
  struct InFlight {
    journal::Settled what;
    int64_t time_ns = 0;
  };
  // A connection that uses a name.
  struct Attached {
    Client* client = nullptr;
    Key key;
    std::shared_ptr<const journal::DurableFilter> filter;  // of the row; set when confirmed
    bool confirmed = false;                                // the row is committed in the journal
    bool reading = false;                                  // a page is requested
    uint64_t turn = 0;  // turn of the awaited page; pages of earlier turns are dropped
    std::string journal;
    int64_t next_seq = 0, redelivered_until = 0;
    int64_t last_time_ns = 0;  // of the newest event that was sent
    uint32_t most_unacked = 0;
    std::deque<InFlight> in_flight;
    int64_t acknowledging = 0;  // seq of the pending request
  };
  enum class Asked : uint8_t { kAttach, kAcknowledge, kForget };
  struct Waiting {
    Asked what{};
    Client* client = nullptr;  // nullptr: it has disconnected
    Key key;
  };

  DurableListeners(Options options, const std::vector<journal::DurableName>& names, Clock& clock);
  static Result<Name> live_name(const journal::DurableName& row,
                                const std::vector<filter::Predicate>& with_under);
  void adopt_all(const std::vector<journal::DurableName>& rows);
  void adopt_opened();
  // The row of the name after the last commit; nullptr: there is none.
  const journal::DurableName* stored_row(const Key& key) const;
  Result<void> may_claim(const Key& key, const Name& wanted) const;
  Attached* find(const Client& client);
  uint64_t wait_for(Asked what, Client* client, Key key);
  Result<void> check_waiting() const;
  // Calls f(name) for each filter that the events must be tested with.
  template <class F>
  void for_each_name(F f) const {
    for (const auto& [key, name] : names_) f(name);
    for (const auto& [token, name] : attaching_) f(name);
    for (const Name& name : in_doubt_) f(name);
  }
  void on_answer(journal::Recorder::Answer& answer);
  Result<void> on_attached(Attached& one, const Result<journal::DurableName>& row);
  void on_page(Page& page);
  void on_missed(Attached& one, const Page& page);
  void on_replaced();
  void read_on(Attached& one);
  void expire();

  Options options_;
  Clock& clock_;
  AgeClock age_clock_;  // for the expiration of names
  UniqueFd event_;      // eventfd(2)
  std::unique_ptr<journal::Recorder> recorder_;
  std::unique_ptr<DurablePages> pages_;
  journal::Recorder::Progress progress_;
  // The names in the journal, as far as it has answered. While a request to attach waits, the
  // events that pass its filter are wanted, too; events are not marked for it. If it failed with an
  // unknown outcome, the same until the journal is opened again.
  std::map<Key, Name> names_;
  std::map<uint64_t, Name> attaching_;  // by token of the request
  std::vector<Name> in_doubt_;
  bool opened_before_ = false;  // adopt_opened() was called
  std::map<const Client*, Attached> attached_;
  std::map<uint64_t, Waiting> waiting_;  // by token
  uint64_t last_token_ = 0;
  uint64_t check_ns_ = 0;  // CLOCK_MONOTONIC: when to check for expired names
  std::string reported_;   // the last read error that was logged
  server::WireEventEncoder encoder_;
};

}  // namespace knell::daemon
