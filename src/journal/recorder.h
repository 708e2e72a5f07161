// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "journal/durable_requests.h"
#include "journal/event_queue.h"
#include "journal/store.h"

namespace knell::journal {

struct RecorderOptions {
  StoreOptions store;
  int64_t latency_ns = 10'000'000;  // how long an event may wait for others to be committed with
  size_t queue_bytes = size_t{16} << 20;
  bool operator==(const RecorderOptions&) const = default;
};

// Writes events into a journal with a thread of its own. add() belongs to one thread, the others
// may be called by any. See recorder.cc.
class Recorder {
 public:
  // Messages for the log; called by the thread of the recorder.
  using Say = std::function<void(const std::string& line)>;

  // Called by the thread of the recorder after each transaction: take_progress() has news.
  using OnProgress = std::function<void()>;

  Recorder(RecorderOptions options, Say say, Clock& clock = system_clock(),
           OnProgress on_progress = {});
  // Writes what is queued and ends the thread.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Queues a copy of the event. Never waits for the disk. If the queue is full, the event is
  // counted as lost.
  void add(const knell_event& event);
  // Waits until all events that were added before are committed or lost.
  void flush();

  // Durable listeners. A request is done after the events that were added before it, in the same
  // transaction; its answer comes when that is committed, or has failed.
  void request(DurableRequest request);
  struct Answer {
    uint64_t token = 0;
    Result<DurableName> row;
  };
  struct Progress {
    std::string id;                        // of the journal; empty: it was not opened yet
    int64_t oldest_seq = 0, next_seq = 0;  // after the last commit
    std::vector<Answer> answers;           // since the last call
    uint64_t done = 0;  // the number of calls of add() whose events are committed or lost
    std::shared_ptr<const std::vector<DurableName>> names;  // after the last commit; never null
  };
  Progress take_progress();

  enum class State {
    kOpening,
    kWorking,
    kFailing  // the last attempt to open or write failed; `problem` says why
  };
  struct Status {
    State state = State::kOpening;
    std::string problem;
    std::string id;
    uint64_t written = 0;     // events committed, with the lost events of the journal
    uint64_t lost_queue = 0;  // dropped because the queue was full
    uint64_t lost_disk = 0;   // dropped because they could not be written
    uint64_t commits = 0;
    uint64_t bytes = 0;  // of the journal
    uint64_t queued_bytes = 0;
    int64_t oldest_seq = 0, next_seq = 0;
    int64_t oldest_ns = 0;  // CLOCK_REALTIME
  };
  Status status() const;

 private:
  void run();
  void write(EventQueue& events, const std::vector<DurableRequest>& requests, uint64_t taken);
  Result<void> try_write(EventQueue& events, const std::vector<DurableRequest>& requests);
  Result<void> apply_all(const std::vector<DurableRequest>& requests);
  void answer_all(const std::vector<DurableRequest>& requests, const Error& error);
  uint64_t records(const EventQueue& events) const;
  Result<void> open();
  void resolve_doubt();
  void on_failure(const Error& error, EventQueue& events);
  void on_damage(const Error& error);
  void publish(State state);

  const RecorderOptions options_;
  const Say say_;
  Clock& clock_;
  const OnProgress on_progress_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, done_;
  EventQueue queue_;  // guarded by mutex_, as are the members up to status_
  bool writer_sleeps_ = false;
  bool stop_ = false;
  uint64_t flush_wanted_ = 0, flush_done_ = 0;
  uint64_t added_ = 0;  // calls of add()
  Status status_;
  std::vector<DurableRequest> requests_;
  bool hurry_ = false;  // a request waits for its answer
  Progress progress_;

  // Of the thread.
  std::optional<Store> store_;
  std::vector<Answer> answers_;     // of the current transaction
  std::vector<DurableName> names_;  // of a damaged file, for the next one
  uint64_t next_try_ns_ = 0;        // CLOCK_MONOTONIC: when to open the store again
  std::string damage_;              // why the next open() moves the file aside; empty: it need not
  uint64_t damaged_ns_ = 0;         // CLOCK_MONOTONIC: when a damaged file was last found
  uint64_t damage_delay_ns_ = 0;
  Hole unwritten_;  // events that could not be written, for the next lost event
  // Of the last transaction that failed, if the store was closed then.
  struct InDoubt {
    std::string id;                  // of the journal
    int64_t next_seq = 0;            // of the journal, if the transaction is in the file after all
    uint64_t written = 0, lost = 0;  // for the status, if it is and if it is not
    Hole events;
  };
  std::optional<InDoubt> in_doubt_;
  bool reported_failure_ = false;
  std::thread thread_;
};

}  // namespace knell::journal
