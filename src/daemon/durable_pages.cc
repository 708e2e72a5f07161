// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/durable_pages.h"

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "event/visibility.h"
#include "journal/cursor.h"
#include "wire/event.h"

namespace knell::daemon {
namespace {

constexpr size_t kEventsARead = 128;      // chosen, not measured
constexpr size_t kPageBytes = 24 * 1024;  // chosen, not measured

// What the request wants, as the reader asks.
class Wanted final : public journal::EventFilter {
 public:
  explicit Wanted(const journal::DurableFilter& filter) : filter_(filter) {}
  bool may_want(const journal::Record& record) override { return filter_.may_want(record); }
  bool wants(knell_event& event) override {
    return filter_.wants(event, static_cast<int64_t>(event.seq));
  }

 private:
  const journal::DurableFilter& filter_;
};

std::thread start_thread(std::function<void()> run) {
  // Signals are for the main thread.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(run));
  ::pthread_setname_np(thread.native_handle(), "knelld-durable");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

DurablePages::DurablePages(std::string path, std::function<void()> on_page)
    : path_(std::move(path)),
      on_page_(std::move(on_page)),
      events_(kEventsARead),
      thread_(start_thread([this] { run(); })) {}

DurablePages::~DurablePages() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void DurablePages::request(PageRequest request) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
  }
  wake_.notify_one();
}

std::vector<Page> DurablePages::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(pages_, {});
}

void DurablePages::run() {
  for (;;) {
    PageRequest request;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stop_ || !requests_.empty(); });
      if (stop_) return;
      request = std::move(requests_.front());
      requests_.pop_front();
    }
    Page page = read(request);
    {
      const std::lock_guard lock(mutex_);
      pages_.push_back(std::move(page));
    }
    on_page_();
  }
}

Page DurablePages::read(const PageRequest& request) {
  Page page{.client = request.client,
            .turn = request.turn,
            .outcome = {},
            .frame = {},
            .entries = {},
            .next_seq = request.from,
            .missed = {}};
  page.outcome = read_into(request, page);
  if (!page.outcome) reader_.reset();
  return page;
}

Result<void> DurablePages::open(const std::string& id) {
  if (reader_ && reader_->id() == id) return {};
  reader_.reset();
  KNELL_ASSIGN(reader_, journal::Reader::open(path_));
  if (reader_->id() == id) return {};
  reader_.reset();
  return say(ESTALE, path_ + ": the journal was replaced");
}

Result<void> DurablePages::read_into(const PageRequest& request, Page& page) {
  KNELL_TRY(open(request.journal));
  reader_->seek(request.from);
  Wanted wanted(*request.filter);
  const size_t most = std::min(request.most_events, events_.size());
  KNELL_ASSIGN(const auto read, reader_->read(std::span(events_).first(most), wanted));
  if (read.oldest_seq > request.from) {
    KNELL_ASSIGN(auto gap, reader_->gap(request.owner, request.name));
    if (!gap) return say(ENOENT, "there is no durable listener '" + request.name + "'");
    page.next_seq = gap->oldest_seq;
    page.missed = std::move(gap->row);
    return {};
  }
  wire::EventFrame frame(page.frame);
  page.next_seq = reader_->next_seq();
  page.end = read.end;
  for (size_t i = 0; i < read.count; ++i) {
    knell_event& event = events_[i];
    const auto seq = static_cast<int64_t>(event.seq);
    if (event.type == KNELL_EVENT_LOST) {
      if (!request.filter->wants(event, seq)) continue;
      event.flags &= ~KNELL_FLAG_EXACT;  // it counts events that this listener would not get
    } else if (!request.scope.every_user) {
      event::hide(event, event::hidden_from_user(event, request.scope.uid));
    }
    const std::string cursor = journal::text_of({.journal = request.journal, .seq = seq});
    event.cursor = {cursor.data(), cursor.size()};
    const bool again = seq <= request.redelivered;
    if (again) event.flags |= KNELL_FLAG_REDELIVERED;
    if (page.frame.size() > kPageBytes ||
        !server::add_encoded(frame, encoder_.event(event, request.details))) {
      page.next_seq = seq;
      page.end = false;
      break;
    }
    page.redelivered += again ? 1 : 0;
    page.entries.push_back({.seq = seq, .time_ns = event.time_ns});
  }
  frame.finish();
  if (page.entries.empty()) page.frame.clear();
  return {};
}

}  // namespace knell::daemon
