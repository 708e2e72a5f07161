// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/durable_pages.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "daemon/journal_frame.h"

namespace knell::daemon {
namespace {

// The pause of a client after a page that could not be read. It is requested again immediately, so
// without the pause knelld would use a whole CPU while a disk fails. Chosen, not measured.
constexpr uint64_t kFailurePauseNs = 50'000'000;

// Applies the filter of the request while the journal is read.
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

}  // namespace

// ---------------------------------------------------------------------- called by the main thread

DurablePages::DurablePages(std::string path, std::function<void()> on_page, Clock& clock)
    : clock_(clock),
      path_(std::move(path)),
      events_(kEventsARead),
      thread_(
          "knelld-durable", [this](const PageRequest& request) { return read(request); },
          std::move(on_page), clock) {}

void DurablePages::request(PageRequest request) {
  const uint64_t client = request.client;
  const uint32_t account = request.account;
  requests_[client] = std::move(request);
  if (const auto pause = pauses_.find(client); pause != pauses_.end())
    paused_.emplace(pause->second, client);  // also if it is over: start_next() removes it
  else
    thread_.ready(account, client);
  start_next();
}

void DurablePages::cancel(uint64_t client) {
  requests_.erase(client);
  if (const auto pause = pauses_.find(client); pause != pauses_.end()) {
    paused_.erase({pause->second, client});
    pauses_.erase(pause);
  }
}

std::optional<Page> DurablePages::take() {
  std::optional<Page> page = thread_.take();
  if (page && !page->outcome) {
    const uint64_t now_ns = clock_.monotonic_ns();
    std::erase_if(pauses_, [&](const auto& pause) { return pause.second <= now_ns; });
    pauses_[page->client] = now_ns + kFailurePauseNs;
  }
  start_next();
  return page;
}

void DurablePages::start_next() {
  const uint64_t now_ns = clock_.monotonic_ns();
  while (!paused_.empty() && paused_.begin()->first <= now_ns) {
    const uint64_t client = paused_.begin()->second;
    paused_.erase(paused_.begin());
    pauses_.erase(client);
    if (const auto found = requests_.find(client); found != requests_.end())
      thread_.ready(found->second.account, client);
  }
  thread_.start_next([this](uint64_t client) -> std::optional<PageRequest> {
    auto found = requests_.extract(client);
    if (found.empty()) return std::nullopt;
    return std::move(found.mapped());
  });
}

uint64_t DurablePages::due_ns() const {
  const uint64_t due_ns = thread_.due_ns();
  if (paused_.empty()) return due_ns;
  const uint64_t end_ns = paused_.begin()->first;
  return due_ns == 0 ? end_ns : std::min(due_ns, end_ns);
}

// ------------------------------------------------------------------------- called by the thread

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
  reader_->set_most_blocks(kBlocksARead);
  if (reader_->id() == id) return {};
  reader_.reset();
  return say(ESTALE, path_ + ": the journal was replaced");
}

Result<void> DurablePages::read_into(const PageRequest& request, Page& page) {
  KNELL_TRY(open(request.journal));
  reader_->seek(request.from);
  KNELL_TRY(read_events(request, page));
  if (page.entries.empty()) page.frame.clear();
  return {};
}

Result<void> DurablePages::read_events(const PageRequest& request, Page& page) {
  const uint64_t began = thread_cpu_ns();
  Wanted wanted(*request.filter);
  JournalFrame frame(page.frame, wire::Message::kEvents, request.journal, request.scope,
                     request.details, encoder_);
  size_t left = std::min(request.most_events, kEventsARead);
  for (bool full = false; left > 0 && !full && !page.end && thread_cpu_ns() - began < kPageNs;) {
    KNELL_ASSIGN(const auto read, reader_->read(std::span(events_).first(left), wanted));
    if (read.oldest_seq > page.next_seq) {
      if (!page.entries.empty()) break;  // the next page reports them
      KNELL_ASSIGN(auto gap, reader_->gap(request.owner, request.name));
      if (!gap) return say(ENOENT, "there is no durable listener '" + request.name + "'");
      page.next_seq = gap->oldest_seq;
      page.missed = std::move(gap->row);
      break;
    }
    page.next_seq = reader_->next_seq();
    page.end = read.end;
    for (size_t i = 0; i < read.count && !full; ++i) {
      knell_event& event = events_[i];
      const auto seq = static_cast<int64_t>(event.seq);
      if (event.type == KNELL_EVENT_LOST) {
        if (!request.filter->wants(event, seq)) continue;
        event.flags &= ~KNELL_FLAG_EXACT;  // it also counts events that this listener would not get
      }
      const bool again = seq <= request.redelivered;
      if (again) event.flags |= KNELL_FLAG_REDELIVERED;
      full = !frame.add(event);
      if (full) {
        page.next_seq = seq;
        page.end = false;
        break;
      }
      page.redelivered += again ? 1 : 0;
      page.entries.push_back({.seq = seq, .time_ns = event.time_ns});
      --left;
    }
  }
  frame.finish();
  return {};
}

}  // namespace knell::daemon
