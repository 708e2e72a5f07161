// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/durable_pages.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "daemon/journal_frame.h"

namespace knell::daemon {
namespace {

constexpr size_t kEventsARead = 128;  // chosen, not measured
// The pause after a page that could not be read. It is requested again immediately, so without the
// pause knelld would use a whole CPU while a disk fails. Chosen, not measured.
constexpr std::chrono::milliseconds kFailurePause{50};

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

DurablePages::DurablePages(std::string path, std::function<void()> on_page)
    : path_(std::move(path)),
      events_(kEventsARead),
      thread_(
          "knelld-durable", [this](const PageRequest& request) { return read(request); },
          std::move(on_page)) {}

Page DurablePages::read(const PageRequest& request) {
  Page page{.client = request.client,
            .turn = request.turn,
            .outcome = {},
            .frame = {},
            .entries = {},
            .next_seq = request.from,
            .missed = {}};
  page.outcome = read_into(request, page);
  if (!page.outcome) {
    reader_.reset();
    std::this_thread::sleep_for(kFailurePause);
  }
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
  JournalFrame frame(page.frame, wire::Message::kEvents, request.journal, request.scope,
                     request.details, encoder_);
  page.next_seq = reader_->next_seq();
  page.end = read.end;
  for (size_t i = 0; i < read.count; ++i) {
    knell_event& event = events_[i];
    const auto seq = static_cast<int64_t>(event.seq);
    if (event.type == KNELL_EVENT_LOST) {
      if (!request.filter->wants(event, seq)) continue;
      event.flags &= ~KNELL_FLAG_EXACT;  // it also counts events that this listener would not get
    }
    const bool again = seq <= request.redelivered;
    if (again) event.flags |= KNELL_FLAG_REDELIVERED;
    if (!frame.add(event)) {
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
