// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The thread sleeps while the queue is empty. The first event wakes it. It waits for the latency
// budget, or until the queue is half full, takes all that is queued, and writes it in one
// transaction. What cannot be written is counted; a lost event with the count is the first thing
// that is written when writing works again. After a failure the journal is opened anew at most once
// a second, and the events of that time are counted.
//
// A transaction that failed may be in the file all the same, for example if only its fsync(2)
// failed. Whether it is can be seen when the file has been opened again, by the number of its
// events. Until then its events are neither written nor lost.
#include "journal/recorder.h"

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <iterator>
#include <utility>

namespace knell::journal {
namespace {

constexpr uint64_t kRetryNs = 1'000'000'000;                // picked
constexpr uint64_t kMostDamageDelayNs = 3'600'000'000'000;  // picked

// Signals are for the main thread.
std::thread start_thread(std::function<void()> run) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(run));
  ::pthread_setname_np(thread.native_handle(), "knelld-journal");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

Recorder::Recorder(RecorderOptions options, Say say, Clock& clock, OnProgress on_progress)
    : options_(std::move(options)),
      say_(std::move(say)),
      clock_(clock),
      on_progress_(std::move(on_progress)),
      queue_(options_.queue_bytes),
      progress_{
          .id = {}, .answers = {}, .names = std::make_shared<const std::vector<DurableName>>()},
      thread_(start_thread([this] { run(); })) {}

Recorder::~Recorder() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Recorder::add(const knell_event& event) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t lost = queue_.hole().count;
    queue_.push(event);
    ++added_;
    status_.lost_queue += queue_.hole().count - lost;
    status_.queued_bytes = queue_.bytes();
    wake = writer_sleeps_ || queue_.is_half_full();
    if (wake) writer_sleeps_ = false;
  }
  if (wake) wake_.notify_one();
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
    requests_.push_back(std::move(request));
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
  return status_;
}

void Recorder::run() {
  EventQueue events(options_.queue_bytes);
  std::vector<DurableRequest> requests;
  if (const auto opened = open(); !opened) on_failure(opened.error(), events);
  if (on_progress_) on_progress_();
  for (bool stop = false; !stop;) {
    uint64_t flushed = 0, taken = 0;
    {
      std::unique_lock lock(mutex_);
      const auto hurry = [&] { return stop_ || flush_wanted_ != flush_done_; };
      writer_sleeps_ = queue_.empty();
      wake_.wait(lock, [&] { return !queue_.empty() || hurry_ || hurry(); });
      writer_sleeps_ = false;
      wake_.wait_for(lock, std::chrono::nanoseconds(options_.latency_ns),
                     [&] { return queue_.is_half_full() || hurry(); });
      queue_.swap(events);
      requests.swap(requests_);
      hurry_ = false;
      status_.queued_bytes = 0;
      flushed = flush_wanted_;
      taken = added_;
      stop = stop_;
    }
    write(events, requests, taken);
    events.clear();
    requests.clear();
    const std::lock_guard lock(mutex_);
    flush_done_ = flushed;
    done_.notify_all();
  }
}

void Recorder::write(EventQueue& events, const std::vector<DurableRequest>& requests,
                     uint64_t taken) {
  if (events.empty() && requests.empty()) return;
  if (const auto written = try_write(events, requests); !written) {
    on_failure(written.error(), events);
    answer_all(requests, written.error());
  }
  {
    const std::lock_guard lock(mutex_);
    progress_.done = taken;
  }
  if (on_progress_) on_progress_();
}

Result<void> Recorder::apply_all(const std::vector<DurableRequest>& requests) {
  const int64_t now = clock_.realtime_ns();
  for (const DurableRequest& request : requests) {
    auto row = apply(request, *store_, now);
    if (!row && !is_refusal(row.error())) return std::unexpected(row.error());
    if (request.token != 0) answers_.push_back({.token = request.token, .row = std::move(row)});
  }
  return {};
}

// The transaction failed: so did all requests.
void Recorder::answer_all(const std::vector<DurableRequest>& requests, const Error& error) {
  const std::lock_guard lock(mutex_);
  const std::string why = error.code == EAGAIN ? status_.problem : error.message();
  for (const DurableRequest& request : requests)
    if (request.token != 0)
      progress_.answers.push_back(
          {.token = request.token,
           .row = say(EIO, "the journal of knelld cannot be written: " + why)});
}

Result<void> Recorder::open() {
  if (store_) return {};
  const uint64_t now = clock_.monotonic_ns();
  if (now < next_try_ns_) return make_error(EAGAIN, "open the journal");
  next_try_ns_ = now + kRetryNs;
  KNELL_ASSIGN(store_, Store::open(options_.store, clock_, damage_, names_));
  damage_.clear();
  names_.clear();
  const Store::Replaced& replaced = store_->replaced();
  if (!replaced.moved_to.empty()) {
    say_(replaced.why + "; moved to " + replaced.moved_to + ", a new journal was begun");
    const Hole unknown{.exact = false,
                       .types = KNELL_EVENT_ALL,
                       .until_ns = now,
                       .until_time_ns = clock_.realtime_ns()};
    unwritten_.add(unknown);
  }
  resolve_doubt();
  publish(State::kWorking);
  return {};
}

void Recorder::resolve_doubt() {
  if (!in_doubt_) return;
  const bool written = in_doubt_->id == store_->id() && in_doubt_->next_seq == store_->next_seq();
  if (!written) unwritten_.add(in_doubt_->events);
  const std::lock_guard lock(mutex_);
  if (written)
    status_.written += in_doubt_->written;
  else
    status_.lost_disk += in_doubt_->lost;
  in_doubt_.reset();
}

// The events that a transaction for `events` has.
uint64_t Recorder::records(const EventQueue& events) const {
  uint64_t count = unwritten_.empty() ? 0 : 1;
  events.for_each([&](const knell_event&) {
    ++count;
    return true;
  });
  return count;
}

Result<void> Recorder::try_write(EventQueue& events, const std::vector<DurableRequest>& requests) {
  answers_.clear();
  KNELL_TRY(open());
  Result<void> appended;
  if (!unwritten_.empty()) appended = store_->append(unwritten_.event());
  events.for_each([&](const knell_event& event) {
    if (appended) appended = store_->append(event);
    return appended.has_value();
  });
  if (appended) appended = apply_all(requests);
  if (appended) appended = store_->commit();
  KNELL_TRY(appended);
  const uint64_t count = records(events);
  unwritten_ = {};
  if (std::exchange(reported_failure_, false)) say_("writes to the journal work again");
  {
    const std::lock_guard lock(mutex_);
    status_.written += count;
    ++status_.commits;
    std::ranges::move(answers_, std::back_inserter(progress_.answers));
  }
  publish(State::kWorking);
  return {};
}

void Recorder::on_failure(const Error& error, EventQueue& events) {
  Hole lost;
  events.for_each([&](const knell_event& event) {
    lost.add(event);
    return true;
  });
  uint64_t count = lost.count - events.hole().count;  // those of the hole are in lost_queue
  const bool goes_on = error.code == ENOSPC || error.code == EBUSY;
  if (store_ && !goes_on) {
    const uint64_t written = records(events);
    lost.add(std::exchange(unwritten_, {}));
    in_doubt_ = {.id = store_->id(),
                 .next_seq = store_->next_seq() + static_cast<int64_t>(written),
                 .written = written,
                 .lost = std::exchange(count, 0),
                 .events = lost};
  } else {
    unwritten_.add(lost);
  }
  if (error.code == EBADMSG)
    on_damage(error);
  else if (!goes_on)
    store_.reset();
  {
    const std::lock_guard lock(mutex_);
    status_.lost_disk += count;
    status_.state = State::kFailing;
    if (error.code != EAGAIN) status_.problem = error.message();
  }
  if (error.code != EAGAIN && !std::exchange(reported_failure_, true))
    say_(error.message() + "; events are lost until this is repaired");
}

// The next open() moves the file aside: the first time at once. If files are damaged again and
// again, it waits ever longer, so that the disk is not filled with them.
void Recorder::on_damage(const Error& error) {
  const uint64_t now = clock_.monotonic_ns();
  if (store_) {
    damage_ = error.message();
    names_ = store_->names().all();
  }
  store_.reset();
  if (now - damaged_ns_ > kMostDamageDelayNs) damage_delay_ns_ = 0;
  damaged_ns_ = now;
  next_try_ns_ = now + damage_delay_ns_;
  damage_delay_ns_ = std::clamp(2 * damage_delay_ns_, kRetryNs, kMostDamageDelayNs);
}

void Recorder::publish(State state) {
  const auto& names = store_->names().all();
  auto copy = names == *progress_.names ? progress_.names
                                        : std::make_shared<const std::vector<DurableName>>(names);
  const std::lock_guard lock(mutex_);
  progress_.id = store_->id();
  progress_.oldest_seq = store_->oldest_seq();
  progress_.next_seq = store_->next_seq();
  progress_.names = std::move(copy);
  status_.state = state;
  status_.problem.clear();
  status_.id = store_->id();
  status_.bytes = store_->bytes();
  status_.oldest_seq = store_->oldest_seq();
  status_.next_seq = store_->next_seq();
  status_.oldest_ns = store_->oldest_ns();
}

}  // namespace knell::journal
