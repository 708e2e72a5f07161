// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/waitable_thread.h"
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

// Writes events to a journal, in a thread. add() must be called by one thread, the other functions
// by any. See recorder.cc.
class Recorder {
 public:
  // Messages for the log; called by the thread of the recorder.
  using Say = std::function<void(const std::string& line)>;

  // The recorder's thread calls it after each transaction, when take_progress() has changed.
  using OnProgress = std::function<void()>;
  // The recorder's thread calls it once, when it has opened the journal for the first time: from
  // then on no other process writes to the journal, and this one has not written yet. Returns how
  // many events of an earlier process are in the journal, for Progress::written_before.
  using CountWritten = std::function<uint64_t()>;

  Recorder(RecorderOptions options, Say say, Clock& clock = system_clock(),
           OnProgress on_progress = {}, CountWritten count_written = {});
  // Writes the queued events and waits until the thread has ended.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Queues a copy of the event. Never blocks on the disk. If the queue is full, the event is
  // counted as lost.
  void add(const knell_event& event);
  // Counts events in the status that were lost before add() was called.
  void count_lost(uint64_t events);
  // Waits until all events that were added before are committed, or an attempt to write them has
  // failed.
  void flush();
  // Makes the thread write the queued events, call `at_end` and end. Nothing may be added
  // afterwards.
  void request_stop(std::function<void()> at_end = {});
  // Waits for the end of the thread until the deadline. false: the thread still waits for the disk.
  // Then this object must not be destroyed, since the thread uses it.
  bool await_end(std::chrono::steady_clock::time_point deadline) {
    return thread_.await_end(deadline);
  }
  // The number of events that were added and are neither committed nor known to be lost.
  uint64_t unwritten() const;

  // Adds a request for a durable listener. It is applied after the events that were added before
  // it, in the same transaction; its answer follows when that is committed, or has failed.
  void request(DurableRequest request);
  struct Answer {
    uint64_t token = 0;
    Result<DurableName> row;
    std::string journal = {};  // id of the journal that has the row
    // After an error: the change may be in the file nevertheless. It is, or is not, in the names of
    // the next Progress::opened.
    bool in_doubt = false;
    uint64_t opened = 0;  // Progress::opened at the answer
  };
  struct Progress {
    std::string id;                        // id of the journal; empty: it was not opened yet
    int64_t oldest_seq = 0, next_seq = 0;  // after the last commit
    // How many times the journal was opened. After a failure it is opened again, and the names are
    // those of the file.
    uint64_t opened = 0;
    std::vector<Answer> answers;  // since the last call
    uint64_t done = 0;            // the number of calls of add() whose events are committed or lost
    std::optional<uint64_t> written_before;  // see CountWritten; unset: not opened yet
    // After the last commit, which has all changes of `answers`; never null.
    std::shared_ptr<const std::vector<DurableName>> names;
  };
  Progress take_progress();

  enum class State {
    kOpening,
    kWorking,
    kFailing  // the last attempt to open or write failed; `problem` says why; events wait
  };
  struct Status {
    State state = State::kOpening;
    std::string problem;
    std::string id;
    uint64_t written = 0;  // committed events, including lost events of the journal
    // Dropped because the queue was full: while the disk was slow, and while writes failed.
    uint64_t lost_queue = 0, lost_disk = 0;
    uint64_t commits = 0;
    uint64_t bytes = 0;         // of the journal
    uint64_t queued_bytes = 0;  // size of the events that are not committed
    uint64_t writing_ns = 0;    // duration of the current write; 0: there is none
    int64_t oldest_seq = 0, next_seq = 0;
    int64_t oldest_ns = 0;  // CLOCK_REALTIME
  };
  Status status() const;

 private:
  struct Round {
    std::vector<DurableRequest> requests;
    uint64_t flush = 0;
    bool took_queue = false, stop = false;
  };
  void run();
  void take(Round& round);
  bool finish(const Round& round);
  void write(const std::vector<DurableRequest>& requests);
  Result<void> try_write(const std::vector<DurableRequest>& requests);
  Result<void> apply_all(const std::vector<DurableRequest>& requests);
  enum class Outcome : uint8_t { kNothingWritten, kUnknown };
  void answer_all(const std::vector<DurableRequest>& requests, const Error& error, Outcome outcome);
  uint64_t records() const;
  Result<void> open();
  void resolve_doubt();
  void drop_batch();
  uint64_t& lost_now() {
    return status_.state == State::kFailing ? status_.lost_disk : status_.lost_queue;
  }
  Outcome on_failure(const Error& error);
  void on_damage(const Error& error);
  void publish();

  const RecorderOptions options_;
  const Say say_;
  Clock& clock_;
  const OnProgress on_progress_;
  CountWritten count_written_;

  mutable std::mutex mutex_;
  std::condition_variable wake_, done_;
  EventQueue queue_;  // guarded by mutex_, as are the members up to status_
  bool writer_sleeps_ = false;
  bool retries_ = false;  // the last attempt failed: the thread waits before the next one
  uint64_t writing_since_ns_ = 0;
  uint64_t batch_bytes_ = 0;
  bool stop_ = false;
  std::function<void()> at_end_;
  uint64_t flush_wanted_ = 0, flush_done_ = 0;
  uint64_t added_ = 0;  // calls of add()
  Status status_;
  std::vector<DurableRequest> requests_;
  bool hurry_ = false;  // the caller of a request waits for the answer
  Progress progress_;

  // Used by the thread.
  std::optional<Store> store_;
  EventQueue batch_;          // events of the current transaction, or of the one that failed
  uint64_t batch_added_ = 0;  // added_ when the batch was taken
  std::optional<AgeClock> age_clock_;  // clock of the last store
  std::vector<Answer> answers_;        // answers to the requests of the current transaction
  uint64_t opened_ = 0;                // see Progress
  uint64_t next_try_ns_ = 0;           // CLOCK_MONOTONIC: when to open the store again
  Store::Replacement replacement_;     // of a file that was damaged in use, at the next open()
  uint64_t damaged_ns_ = 0;            // CLOCK_MONOTONIC: when a damaged file was last found
  uint64_t damage_delay_ns_ = 0;
  // The last failed transaction, if the store was closed then.
  struct InDoubt {
    std::string id;        // id of the journal
    int64_t next_seq = 0;  // of the journal, if the transaction is in the file nevertheless
    uint64_t written = 0;  // number of events that the file has then
    bool has_batch = false;
  };
  std::optional<InDoubt> in_doubt_;
  bool reported_failure_ = false;
  WaitableThread thread_;
};

}  // namespace knell::journal
