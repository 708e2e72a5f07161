// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A request is for one page and has its start, so the daemon keeps no state of a client between two
// pages. One thread reads all pages, one at a time:
//
//   read() -> PageThread -> on_page() -> answer
//      '---> waits ---> on_progress() --^
//
// Users take turns; see PageThread. A page ends when its frame is full, or after kPageNs.
//
// A client gets the events that a live listener of this client would have received: those of
// processes of its own uid, unless it may see every user's. The journal does not have the pids in
// other pid namespaces, so a client in another pid namespace is refused.
#include "daemon/history_pages.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>
#include <utility>

#include "daemon/journal_frame.h"
#include "filter/rule.h"
#include "journal/cursor.h"

namespace knell::daemon {
namespace {

// Applies the filter of the request while the journal is read.
class Wanted final : public journal::EventFilter {
 public:
  Wanted(const hub::Filter& filter, uint32_t boot) : filter_(filter), boot_(boot) {}
  bool may_want(const journal::Record& record) override {
    return filter::passes(filter_.subscription.rule, filter_.subscription.mask, record.type,
                          record.nonzero ? 1 : 0);
  }
  bool wants(knell_event& event) override {
    const hub::Scope& scope = filter_.scope;
    if (!scope.every_user && ((event.has & KNELL_HAS_UID) == 0 || event.uid != scope.uid))
      return false;
    if (boot_ != 0 && event.id.kind != KNELL_ID_NONE && event.id.boot != boot_) return false;
    return filter::passes(filter_.subscription.rule, filter_.subscription.mask, event) &&
           filter_.predicates.matches(event, filter::NoAncestry());
  }

 private:
  const hub::Filter& filter_;
  const uint32_t boot_;
};

}  // namespace

// ------------------------------------------------------------------------- called by the thread

class HistoryPages::PageReader {
 public:
  explicit PageReader(std::string path) : path_(std::move(path)), events_(kEventsARead) {}

  Page read(const Work& work) {
    const uint64_t began = thread_cpu_ns();
    Page page{.client = work.client, .token = work.token, .packets = read_packets(work, began)};
    if (!page.packets) reader_.reset();
    return page;
  }

 private:
  Result<std::vector<std::string>> read_packets(const Work& work, uint64_t began) {
    KNELL_TRY(open(work.journal));
    const wire::HistoryPlace& place = work.asked.place;
    KNELL_TRY(seek(work.asked));
    Wanted wanted(*work.filter, work.asked.boot);
    wire::Page page;
    std::string events;
    if (place.last != 0)
      KNELL_TRY(search(place, wanted, page.next, began));
    else
      KNELL_TRY(read_events(work, wanted, events, page.end, began));
    const journal::Reader::Place next = reader_->place();
    if (next.next_seq != 0)
      page.next.cursor = journal::text_of({.journal = reader_->id(), .seq = next.next_seq - 1});
    page.next.last_seq = next.last_seq;
    std::vector<std::string> packets;
    if (!events.empty()) packets.push_back(std::move(events));
    packets.push_back(wire::encode(page, 0));
    return packets;
  }

  Result<void> open(const std::string& journal) {
    if (reader_ && (journal.empty() || reader_->id() == journal)) return {};
    reader_.reset();
    KNELL_ASSIGN(reader_, journal::Reader::open(path_));
    reader_->set_most_blocks(kBlocksARead);
    return {};
  }

  Result<void> seek(const wire::History& asked) {
    const int64_t since =
        asked.since_ns == 0 ? std::numeric_limits<int64_t>::min() : asked.since_ns;
    const int64_t until = asked.until_ns == 0 ? INT64_MAX : asked.until_ns;
    journal::Reader::Place place;
    if (!asked.place.cursor.empty()) {
      const auto cursor = journal::parse_cursor(asked.place.cursor);
      if (!cursor || cursor->seq == INT64_MAX)
        return say(EINVAL, "history: the cursor is not one of an event");
      if (cursor->journal != reader_->id())
        return say(ESTALE, "history: the cursor is of a journal that was replaced");
      place.next_seq = cursor->seq + 1;
    }
    if (asked.place.last_seq != 0)
      place.last_seq = asked.place.last_seq;
    else if (asked.since_ns != 0 || asked.until_ns != 0)
      return reader_->set_window(since, until);
    reader_->resume(since, until, place);
    return {};
  }

  Result<void> search(const wire::HistoryPlace& place, Wanted& wanted, wire::HistoryPlace& next,
                      uint64_t began) {
    journal::Reader::LastSearch search{.left = place.last};
    if (place.searched_seq != 0) search.searched_seq = place.searched_seq;
    bool found = false;
    while (!found && thread_cpu_ns() - began < kPageNs) {
      KNELL_ASSIGN(found, reader_->seek_last_some(search, wanted));
    }
    if (found) return {};
    next.last = search.left;
    next.searched_seq = search.searched_seq;
    return {};
  }

  Result<void> read_events(const Work& work, Wanted& wanted, std::string& out, bool& end,
                           uint64_t began) {
    const hub::Scope& scope = work.filter->scope;
    JournalFrame frame(out, wire::Message::kPast, reader_->id(), scope,
                       work.filter->subscription.details, encoder_);
    for (bool full = false; !full && !end && thread_cpu_ns() - began < kPageNs;) {
      KNELL_ASSIGN(const auto read, reader_->read(events_, wanted));
      for (size_t i = 0; i < read.count && !full; ++i) {
        knell_event& event = events_[i];
        const auto seq = static_cast<int64_t>(event.seq);
        // The count includes events that this client may not see.
        if (event.type == KNELL_EVENT_LOST && !scope.every_user) event.flags &= ~KNELL_FLAG_EXACT;
        full = !frame.add(event);
        if (full) reader_->seek(seq);
      }
      end = read.end && !full;
    }
    frame.finish();
    if (frame.empty()) out.clear();
    return {};
  }

  const std::string path_;
  std::optional<journal::Reader> reader_;
  server::WireEventEncoder encoder_;
  std::vector<knell_event> events_;
};

// -------------------------------------------------------------------- called by the main thread

HistoryPages::HistoryPages(std::string path, std::function<void(Client&)> resume, Clock& clock)
    : path_(std::move(path)), resume_(std::move(resume)), clock_(clock) {}

HistoryPages::~HistoryPages() = default;

Result<std::unique_ptr<HistoryPages>> HistoryPages::create(std::string path,
                                                           std::function<void(Client&)> resume,
                                                           Clock& clock) {
  std::unique_ptr<HistoryPages> made(new HistoryPages(std::move(path), std::move(resume), clock));
  made->event_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made->event_) return errno_error("create an eventfd");
  return made;
}

void HistoryPages::start() {
  reader_ = std::make_unique<PageReader>(path_);
  thread_ = std::make_unique<Thread>(
      "knelld-history", [reader = reader_.get()](const Work& work) { return reader->read(work); },
      [event = event_.get()] {
        const uint64_t one = 1;
        (void)!::write(event, &one, sizeof one);
      },
      clock_);
  for (const auto& [client, request] : requests_)
    if (!request.waits) make_ready(request);
}

Result<void> HistoryPages::read(Client& client, wire::History asked, hub::Filter filter) {
  if (filter.scope.ns != 0)
    return say(EOPNOTSUPP,
               "history: the journal does not have the pids of the pid namespace of this client; "
               "run knell history in that of knelld");
  Request& request = requests_[client.id()];
  request = {.client = &client,
             .token = ++last_token_,
             .asked = std::move(asked),
             .filter = std::make_shared<const hub::Filter>(std::move(filter))};
  // Do not let a disconnected client wait: it would not be removed.
  request.waits = request.asked.wait && is_at_end(request.asked) && !client.has_left();
  if (!request.waits) make_ready(request);
  start_next();
  return {};
}

void HistoryPages::cancel(const Client& client) { requests_.erase(client.id()); }

// Whether there are no events after the cursor, as far as this thread knows. Also true while the
// journal cannot be written.
bool HistoryPages::is_at_end(const wire::History& asked) const {
  if (asked.place.last != 0) return false;
  if (journal_.empty()) return true;
  if (asked.place.cursor.empty()) return next_seq_ <= 1;
  const auto cursor = journal::parse_cursor(asked.place.cursor);
  return cursor && cursor->journal == journal_ && cursor->seq + 1 >= next_seq_;
}

void HistoryPages::on_progress(const std::string& id, int64_t next_seq) {
  if (thread_ == nullptr) start();
  journal_ = id;
  next_seq_ = next_seq;
  for (auto& [client, request] : requests_) {
    if (!request.waits || is_at_end(request.asked)) continue;
    request.waits = false;
    make_ready(request);
  }
  start_next();
}

// Without the thread, start() makes it ready.
void HistoryPages::make_ready(const Request& request) {
  if (thread_ != nullptr)
    thread_->ready(request.client->listener().account().owner, request.client->id());
}

void HistoryPages::start_next() {
  if (thread_ == nullptr) return;
  thread_->start_next([this](uint64_t client) -> std::optional<Work> {
    const auto found = requests_.find(client);
    if (found == requests_.end()) return std::nullopt;
    const Request& request = found->second;
    return Work{.client = client,
                .token = request.token,
                .journal = journal_,
                .asked = request.asked,
                .filter = request.filter};
  });
}

void HistoryPages::on_ready() {
  uint64_t count = 0;
  (void)!::read(event_.get(), &count, sizeof count);
  if (thread_ == nullptr) return;
  if (auto page = thread_->take()) on_page(*page);
  start_next();
}

void HistoryPages::on_page(Page& page) {
  const auto found = requests_.find(page.client);
  if (found == requests_.end() || found->second.token != page.token) return;
  Client& client = *found->second.client;
  requests_.erase(found);
  client.finish_history(page.packets);
  resume_(client);
}

}  // namespace knell::daemon
