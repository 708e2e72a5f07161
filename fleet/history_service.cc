// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Limits of the work and the memory for readers, which hold for all requests:
//
//  - A query has one open listener of the journal, one page that may have to be sent again, and a
//    few events that were read and did not fit in the page. There are at most Limits::queries. A
//    new query replaces one that has ended, or whose reader has been silent. If there is none, the
//    answer is "busy".
//  - A page is sent when it is full, or after Limits::page, with the events found until then, so a
//    query that matches few events does not block the others.
//  - Requests are answered in their order, and at most one request of a query waits.
//  - After each page the thread pauses as long as it has worked, and as long as the page takes at
//    Limits::bytes_per_second: it uses at most half of a CPU, at a low priority.
//
//   submit() -> requests_ -> [thread: answer()] -> replies_ -> next_replies()
#include "fleet/history_service.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "fleet/event_details.h"
#include "fleet/json_event.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

using std::chrono::nanoseconds;
using SteadyClock = std::chrono::steady_clock;
using Kind = HistoryRequest::Kind;
using State = HistoryPage::State;

constexpr size_t kEventsARead = 32;
constexpr int kNice = 10;
constexpr int kStopPollMs = 100;  // how late the thread may notice that it has to stop

HistoryPage page_of(State state, uint32_t page, std::string text = {}) {
  HistoryPage out;
  out.state = state;
  out.page = page;
  out.text = std::move(text);
  return out;
}

}  // namespace

struct HistoryService::Query {
  Listener listener;
  uint32_t page = 0;               // the last page that was made
  size_t page_bytes = 0;           // size of the lines of a page
  std::string text;                // text of that page
  std::deque<std::string> unsent;  // lines that did not fit in the page, up to kEventsARead
  bool ended = false;
  std::string events;
  bool limited = false, own_user = false;
  SteadyClock::time_point used;
};

HistoryService::HistoryService(Policy policy, Limits limits, Open open, UniqueFd wake)
    : policy_(std::move(policy)), limits_(limits), open_(std::move(open)), wake_(std::move(wake)) {
  thread_ = std::thread([this] { run(); });
}

Result<std::unique_ptr<HistoryService>> HistoryService::create(Policy policy, Limits limits,
                                                               Open open) {
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return errno_error("make an eventfd");
  return std::unique_ptr<HistoryService>(
      new HistoryService(std::move(policy), limits, std::move(open), std::move(wake)));
}

HistoryService::~HistoryService() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

// --- Called by the forwarder's thread ---

void HistoryService::submit(const std::string& text) {
  std::string query;
  auto request = parse_request(text, query);
  if (!request) {
    if (!query.empty())
      push_reply(query, page_text(page_of(State::kRefused, 1, request.error().message())));
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    const auto same = std::ranges::find_if(requests_, [&](const HistoryRequest& waiting) {
      return waiting.query == request->query && waiting.kind == request->kind;
    });
    if (same != requests_.end())
      *same = *std::move(request);
    else if (requests_.size() < limits_.requests)
      requests_.push_back(*std::move(request));
    else
      return;
  }
  changed_.notify_all();
}

std::vector<HistoryService::Reply> HistoryService::next_replies() {
  uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  const std::lock_guard lock(mutex_);
  return std::exchange(replies_, {});
}

// --- Called by the service's own thread ---

// Queues the reply. At most one reply of a query waits to be sent: the last one.
void HistoryService::push_reply(std::string query, std::string text) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(replies_, [&](const Reply& reply) { return reply.query == query; });
    if (replies_.size() < limits_.requests) replies_.push_back({std::move(query), std::move(text)});
  }
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void HistoryService::run() {
  // Applies to this thread only. systemd may forbid it; then the thread keeps the priority of the
  // forwarder.
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (requests_.empty()) {
      const auto due = [&] { return stop_ || !requests_.empty(); };
      if (queries_.empty())
        changed_.wait(lock, due);
      else
        changed_.wait_for(lock, limits_.idle, due);
    }
    if (stop_) return;
    std::optional<HistoryRequest> request;
    if (!requests_.empty()) {
      request = std::move(requests_.front());
      requests_.pop_front();
    }
    lock.unlock();
    const auto started = SteadyClock::now();
    remove_idle();
    size_t bytes = 0;
    if (request) {
      if (auto text = answer(*request)) {
        bytes = text->size();
        push_reply(request->query, *std::move(text));
      }
    }
    const nanoseconds worked = SteadyClock::now() - started;
    const nanoseconds sending(bytes * 1'000'000'000 /
                              std::max<uint64_t>(limits_.bytes_per_second, 1));
    lock.lock();
    changed_.wait_for(lock, std::max(worked, sending), [&] { return stop_; });
  }
}

void HistoryService::remove_idle() {
  const auto now = SteadyClock::now();
  std::erase_if(queries_, [&](const auto& each) { return now - each.second->used > limits_.idle; });
}

// Whether there is room for another query. If all are used, removes one that has ended.
bool HistoryService::make_room() {
  if (queries_.size() < limits_.queries) return true;
  const auto ended =
      std::ranges::find_if(queries_, [](const auto& each) { return each.second->ended; });
  if (ended == queries_.end()) return false;
  queries_.erase(ended);
  return true;
}

// The text of the answer; nullopt: the request is not answered.
std::optional<std::string> HistoryService::answer(const HistoryRequest& request) {
  const auto found = queries_.find(request.query);
  if (request.kind == Kind::kEnd) {
    if (found != queries_.end()) queries_.erase(found);
    return std::nullopt;
  }
  if (found == queries_.end()) {
    if (request.kind == Kind::kAlive) return std::nullopt;
    if (request.page == 1) return page_text(first_page(request));
    return page_text(page_of(State::kUnknown, request.page,
                             "the query is unknown: the forwarder was restarted, or has ended it"));
  }
  Query& query = *found->second;
  query.used = SteadyClock::now();
  if (request.kind == Kind::kAlive) return std::nullopt;
  if (request.page == query.page) return query.text;  // the answer was lost: send it again
  if (request.page != query.page + 1 || query.ended)
    return page_text(page_of(State::kUnknown, request.page, "this page does not exist"));
  const HistoryPage page = next_page(query);
  if (page.state != State::kUnreadable) return query.text;
  queries_.erase(found);
  return page_text(page);
}

HistoryPage HistoryService::first_page(const HistoryRequest& request) {
  if (policy_.allowed == 0)
    return page_of(State::kRefused, 1,
                   "the host does not answer queries of past events (--no-history)");
  if (!host_matches(request.selector.hosts, policy_.host))
    return page_of(State::kRefused, 1, "the request is not for this host");
  if (const auto checked = check_predicates(request.selector, policy_.details); !checked)
    return page_of(State::kRefused, 1, checked.error().message());
  const uint32_t events = permitted(request.selector.events, policy_.allowed);
  if (events == 0)
    return page_of(
        State::kRefused, 1,
        fmt::format("the host is willing to send only {}", events_text(policy_.allowed)));
  if (!make_room()) return page_of(State::kBusy, 1);
  auto query = std::make_unique<Query>();
  query->page_bytes = request.page_bytes;
  query->events = events_text(events);
  query->limited = events != permitted(request.selector.events, KNELL_EVENT_ALL);
  query->used = SteadyClock::now();
  if (const auto opened = open(*query, request); !opened)
    return page_of(State::kUnreadable, 1, opened.error().message());
  HistoryPage page = next_page(*query);
  if (page.state != State::kUnreadable) queries_.emplace(request.query, std::move(query));
  return page;
}

Result<void> HistoryService::open(Query& query, const HistoryRequest& request) const {
  HistoryOptions options;
  options.events = permitted(request.selector.events, policy_.allowed);
  options.since_ns = request.since_ns;
  options.until_ns = request.until_ns;
  options.last = request.last;
  options.this_boot = request.this_boot ? 1 : 0;
  std::error_code error;
  query.listener = open_(options, error);
  if (error.value() == ENODATA) return {};  // the journal is empty, so there is no listener
  if (error) return say(error.value(), explain());
  for (const auto& [key, values] : request.selector.predicates)
    for (const std::string& value : values)
      if (query.listener.match(key, value)) return say(EINVAL, explain());
  query.own_user = query.listener.stats().scope == KNELL_SCOPE_USER;
  return {};
}

// Makes the next page of the query, and keeps its text for a repeated request, unless it fails.
HistoryPage HistoryService::next_page(Query& query) {
  HistoryPage page = page_of(State::kMore, query.page + 1);
  page.events = query.events;
  page.limited = query.limited;
  page.own_user = query.own_user;
  const auto more = read_events(query, page);
  if (!more) return page_of(State::kUnreadable, page.page, more.error().message());
  if (!*more) {
    page.state = State::kEnd;
    query.ended = true;
    query.listener = {};
  }
  query.page = page.page;
  query.text = page_text(page);
  return page;
}

// Adds events to the page until it is full or its time has passed: true. Returns false when there
// are no more events.
Result<bool> HistoryService::read_events(Query& query, HistoryPage& page) {
  const auto until = SteadyClock::now() + limits_.page;
  std::array<const knell_event*, kEventsARead> events{};
  for (;;) {
    while (!query.unsent.empty()) {
      const std::string& line = query.unsent.front();
      const size_t bytes = page.lines.size() + line.size() + 1;
      if (!page.lines.empty() && bytes > query.page_bytes) return true;
      page.lines += line;
      page.lines += '\n';
      query.unsent.pop_front();
    }
    if (!query.listener) return false;
    if (SteadyClock::now() >= until) return true;
    std::error_code error;
    const auto got = query.listener.read(events, error);
    if (error.value() == ENODATA) {
      query.listener = {};
      continue;
    }
    if (error) return say(error.value(), explain());
    for (const knell_event* event : got)
      query.unsent.push_back(json_of_host(policy_.host, with_details(*event, policy_.details)));
    if (!got.empty()) continue;
    // The descriptor becomes readable when knelld answers, or when the search can continue.
    pollfd ready{query.listener.fd(), POLLIN, 0};
    (void)::poll(&ready, 1, kStopPollMs);
    const std::lock_guard lock(mutex_);
    if (stop_) return true;
  }
}

}  // namespace knell::fleet
