// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The thread sleeps while the queue is empty. The first event wakes it. It waits for the latency
// budget, or until the queue is half full, takes all queued events, and writes them in one
// transaction. A failed transaction is tried again once a second; its events and the following ones
// wait in the queue. Events that do not fit in the queue are counted; the last entry of the queue
// is a lost event with the count.
//
// A transaction that failed may be in the file nevertheless, for example if only its fsync(2)
// failed. The recorder checks this when it has opened the file again, by the number of events.
// Until then the events of the transaction count neither as written nor as lost.
#include "journal/recorder.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <tuple>
#include <utility>

namespace knell::journal {
namespace {

constexpr uint64_t kRetryNs = 1'000'000'000;                // chosen, not measured
constexpr uint64_t kMostDamageDelayNs = 3'600'000'000'000;  // chosen, not measured

}  // namespace

Recorder::Recorder(RecorderOptions options, Say say, Clock& clock, OnProgress on_progress,
                   CountWritten count_written)
    : options_(std::move(options)),
      say_(std::move(say)),
      clock_(clock),
      on_progress_(std::move(on_progress)),
      count_written_(std::move(count_written)),
      queue_(options_.queue_bytes),
      progress_{.id = {},
                .answers = {},
                .written_before = {},
                .names = std::make_shared<const std::vector<DurableName>>()},
      batch_(options_.queue_bytes),
      thread_("knelld-journal", [this] { run(); }) {}

Recorder::~Recorder() { request_stop(); }

void Recorder::request_stop(std::function<void()> at_end) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stop_, true)) return;
    at_end_ = std::move(at_end);
  }
  wake_.notify_one();
}

uint64_t Recorder::unwritten() const {
  const std::lock_guard lock(mutex_);
  return added_ - progress_.done;
}

void Recorder::add(const knell_event& event) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t lost = queue_.hole().count;
    queue_.push(event);
    ++added_;
    const uint64_t more = queue_.hole().count - lost;
    // The reporter of a lost event has already counted it.
    if (event.type != KNELL_EVENT_LOST) lost_now() += more;
    wake = !retries_ && (writer_sleeps_ || queue_.is_half_full());
    if (wake) writer_sleeps_ = false;
  }
  if (wake) wake_.notify_one();
}

void Recorder::count_lost(uint64_t events) {
  const std::lock_guard lock(mutex_);
  lost_now() += events;
}

void Recorder::flush() {
  std::unique_lock lock(mutex_);
  const uint64_t wanted = ++flush_wanted_;
  wake_.notify_one();
  done_.wait(lock, [&] { return flush_done_ >= wanted; });
}

void Recorder::request(DurableRequest request) {
  const bool hurry = request.token != 0;
  {
    const std::lock_guard lock(mutex_);
    if (!merge_note(request, requests_)) requests_.push_back(std::move(request));
    hurry_ = hurry_ || hurry;
  }
  if (hurry) wake_.notify_one();
}

Recorder::Progress Recorder::take_progress() {
  const std::lock_guard lock(mutex_);
  Progress now = progress_;
  progress_.answers.clear();
  return now;
}

Recorder::Status Recorder::status() const {
  const std::lock_guard lock(mutex_);
  Status now = status_;
  now.queued_bytes = queue_.bytes() + batch_bytes_;
  if (writing_since_ns_ != 0) now.writing_ns = clock_.monotonic_ns() - writing_since_ns_;
  return now;
}

void Recorder::run() {
  {
    const std::lock_guard lock(mutex_);
    writing_since_ns_ = clock_.monotonic_ns();
  }
  if (const auto opened = open(); !opened) std::ignore = on_failure(opened.error());
  if (on_progress_) on_progress_();
  for (bool stop = false; !stop;) {
    Round round;
    take(round);
    write(round.requests);
    stop = finish(round);
  }
  if (at_end_) at_end_();
}

// Waits for work. The events of a failed transaction come before those of the queue.
void Recorder::take(Round& round) {
  std::unique_lock lock(mutex_);
  const auto hurry = [&] { return stop_ || flush_wanted_ != flush_done_; };
  writing_since_ns_ = 0;
  if (retries_) {
    wake_.wait_for(lock, std::chrono::nanoseconds(kRetryNs), [&] { return hurry_ || hurry(); });
  } else {
    writer_sleeps_ = queue_.empty();
    wake_.wait(lock, [&] { return !queue_.empty() || hurry_ || hurry(); });
    writer_sleeps_ = false;
    wake_.wait_for(lock, std::chrono::nanoseconds(options_.latency_ns),
                   [&] { return queue_.is_half_full() || hurry(); });
  }
  round.took_queue = batch_.empty();
  if (round.took_queue) {
    queue_.swap(batch_);
    batch_added_ = added_;
    batch_bytes_ = batch_.bytes();
  }
  round.requests.swap(requests_);
  hurry_ = false;
  round.flush = flush_wanted_;
  round.stop = stop_;
  if (stop_) next_try_ns_ = 0;
  writing_since_ns_ = clock_.monotonic_ns();
}

// Returns whether the thread can end: there is nothing left that can be written.
bool Recorder::finish(const Round& round) {
  const std::lock_guard lock(mutex_);
  if (!round.took_queue && !retries_) return false;
  flush_done_ = round.flush;
  done_.notify_all();
  return round.stop && (retries_ || queue_.empty());
}

void Recorder::write(const std::vector<DurableRequest>& requests) {
  if (!retries_ && batch_.empty() && requests.empty()) return;
  const auto written = try_write(requests);
  if (!written) {
    const Outcome outcome = on_failure(written.error());
    answer_all(requests, written.error(), outcome);
  }
  if (on_progress_) on_progress_();
}

Result<void> Recorder::apply_all(const std::vector<DurableRequest>& requests) {
  const int64_t now = clock_.realtime_ns();
  for (const DurableRequest& request : requests) {
    auto row = apply(request, *store_, now);
    if (!row && !is_refusal(row.error())) return std::unexpected(row.error());
    if (request.token != 0)
      answers_.push_back({.token = request.token,
                          .row = std::move(row),
                          .journal = store_->id(),
                          .opened = opened_});
  }
  return {};
}

// The transaction failed, and all its requests failed with it. Notes without a waiting client are
// kept for later.
void Recorder::answer_all(const std::vector<DurableRequest>& requests, const Error& error,
                          Outcome outcome) {
  const std::lock_guard lock(mutex_);
  const std::string why = error.code == EAGAIN ? status_.problem : error.message();
  for (const DurableRequest& request : requests) {
    if (request.token != 0)
      progress_.answers.push_back(
          {.token = request.token,
           .row = say(EIO, "the journal of knelld cannot be written: " + why),
           .in_doubt = outcome == Outcome::kUnknown,
           .opened = opened_});
    else if (!merge_note(request, requests_))
      requests_.push_back(request);
  }
}

Result<void> Recorder::open() {
  const uint64_t now = clock_.monotonic_ns();
  if (now < next_try_ns_) return make_error(EAGAIN, "open the journal");
  if (store_) return {};
  next_try_ns_ = now + kRetryNs;
  // If the file is damaged, the durable listeners in it may not be readable.
  if (replacement_.names.empty()) replacement_.names = *progress_.names;
  auto opened = Store::open(options_.store, clock_, replacement_);
  if (!replacement_.moved_to.empty()) {
    say_(replacement_.why + "; moved to " + replacement_.moved_to + ", a new journal was created");
    replacement_ = {};
    const std::lock_guard lock(mutex_);
    ++status_.written;  // the lost event at its begin
  }
  KNELL_ASSIGN(store_, std::move(opened));
  ++opened_;
  if (age_clock_) store_->set_age_clock(*age_clock_);
  resolve_doubt();
  if (const auto count = std::exchange(count_written_, {})) {
    const uint64_t before = count();
    const std::lock_guard lock(mutex_);
    progress_.written_before = before;
  }
  publish();
  next_try_ns_ = 0;
  return {};
}

void Recorder::resolve_doubt() {
  const auto doubt = std::exchange(in_doubt_, std::nullopt);
  if (!doubt || doubt->id != store_->id() || doubt->next_seq != store_->next_seq()) return;
  const std::lock_guard lock(mutex_);
  status_.written += doubt->written;
  if (doubt->has_batch) drop_batch();
}

// Removes the events of the batch, which are in the journal now.
void Recorder::drop_batch() {
  batch_.clear();
  batch_bytes_ = 0;
  progress_.done = batch_added_;
}

// The number of events in the current transaction.
uint64_t Recorder::records() const {
  uint64_t count = 0;
  batch_.for_each([&](const knell_event&) {
    ++count;
    return true;
  });
  return count;
}

Result<void> Recorder::try_write(const std::vector<DurableRequest>& requests) {
  answers_.clear();
  KNELL_TRY(open());
  Result<void> appended;
  batch_.for_each([&](const knell_event& event) {
    if (appended) appended = store_->append(event);
    return appended.has_value();
  });
  if (appended) appended = apply_all(requests);
  if (appended) appended = store_->commit();
  KNELL_TRY(appended);
  const uint64_t count = records();
  if (std::exchange(reported_failure_, false)) say_("writes to the journal work again");
  {
    const std::lock_guard lock(mutex_);
    status_.written += count;
    ++status_.commits;
    drop_batch();
    retries_ = false;
  }
  publish();
  return {};
}

// Returns the outcome of the transaction. If the store stays open, SQLite has rolled it back.
Recorder::Outcome Recorder::on_failure(const Error& error) {
  const bool goes_on = error.code == ENOSPC || error.code == EBUSY;
  if (error.code == EAGAIN) return Outcome::kNothingWritten;
  const Outcome outcome = store_ && !goes_on ? Outcome::kUnknown : Outcome::kNothingWritten;
  if (store_ && !goes_on) {
    const uint64_t written = records();
    if (written != 0)
      in_doubt_ = {.id = store_->id(),
                   .next_seq = store_->next_seq() + static_cast<int64_t>(written),
                   .written = written,
                   .has_batch = !batch_.empty()};
  }
  next_try_ns_ = clock_.monotonic_ns() + kRetryNs;
  if (store_) age_clock_ = store_->age_clock();
  if (error.code == EBADMSG)
    on_damage(error);
  else if (!goes_on)
    store_.reset();
  {
    const std::lock_guard lock(mutex_);
    retries_ = true;
    status_.state = State::kFailing;
    status_.problem = error.message();
  }
  if (!std::exchange(reported_failure_, true))
    say_(error.message() + "; until this is repaired, events wait, at most " +
         std::to_string(options_.queue_bytes >> 20) + " MiB, and further ones are lost");
  return outcome;
}

// Makes the next open() move the file aside: the first time immediately. If files are damaged
// repeatedly, the delay grows, so that damaged files do not fill the disk.
void Recorder::on_damage(const Error& error) {
  const uint64_t now = clock_.monotonic_ns();
  if (store_) {
    replacement_ = {.why = error.message(), .names = store_->names().all()};
  }
  store_.reset();
  if (now - damaged_ns_ > kMostDamageDelayNs) damage_delay_ns_ = 0;
  damaged_ns_ = now;
  next_try_ns_ = now + damage_delay_ns_;
  damage_delay_ns_ = std::clamp(2 * damage_delay_ns_, kRetryNs, kMostDamageDelayNs);
}

void Recorder::publish() {
  const auto& names = store_->names().all();
  auto copy = names == *progress_.names ? progress_.names
                                        : std::make_shared<const std::vector<DurableName>>(names);
  const std::lock_guard lock(mutex_);
  progress_.id = store_->id();
  progress_.oldest_seq = store_->oldest_seq();
  progress_.next_seq = store_->next_seq();
  progress_.opened = opened_;
  progress_.names = std::move(copy);
  std::ranges::move(std::exchange(answers_, {}), std::back_inserter(progress_.answers));
  if (!retries_) {
    status_.state = State::kWorking;
    status_.problem.clear();
  }
  status_.id = store_->id();
  status_.bytes = store_->bytes();
  status_.oldest_seq = store_->oldest_seq();
  status_.next_seq = store_->next_seq();
  status_.oldest_ns = store_->oldest_ns();
}

}  // namespace knell::journal
