// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Each host has at most one unanswered request. The reader sends it again every second, since the
// request or the answer may be lost; the host gives the same answer again. An event is returned
// when the next event of every host that has more events is known: heads_ has one event of each.
#include "fleet/history_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <knell/knell.hpp>

#include "base/duration.h"
#include "base/json_value.h"
#include "fleet/random_name.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

using std::chrono::milliseconds;
using Kind = HistoryRequest::Kind;
using State = HistoryPage::State;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kAgain = kSecond;
constexpr uint64_t kAlive = 15 * kSecond;  // a host forgets a query after a minute
constexpr size_t kPagesAhead = 2;          // for each host
constexpr size_t kMostWaitingBytes = size_t{32} << 20;

}  // namespace

HistoryReader::HistoryReader(Connection& connection, Clock& clock,
                             const std::map<std::string, bool>& hosts, HistoryRequest first,
                             milliseconds patience)
    : connection_(connection),
      clock_(clock),
      first_(std::move(first)),
      patience_ns_(static_cast<uint64_t>(std::chrono::nanoseconds(patience).count())),
      unknown_(hosts.size()) {
  first_.kind = Kind::kPage;
  first_.page = 1;
  first_.query = random_name();
  first_.selector.owner = first_.query;
  first_.page_bytes = std::clamp(kMostWaitingBytes / std::max<size_t>(hosts.size(), 1),
                                 kLeastPageBytes, kMostPageBytes);
  for (const auto& [name, silent] : hosts) {
    index_[name] = hosts_.size();
    Host& host = hosts_.emplace_back();
    host.name = name;
    host.silent = silent;
  }
}

Result<void> HistoryReader::start() {
  KNELL_TRY(connection_.subscribe(reply_subject("*", first_.query),
                                  {.messages = hosts_.size() + 1, .bytes = 2 * kMostWaitingBytes}));
  for (Host& host : hosts_) {
    request(host, Kind::kPage);
    host.deadline_ns = clock_.monotonic_ns() + patience_ns_;
  }
  return {};
}

// If the request cannot be sent, the reader sends it again later.
void HistoryReader::request(Host& host, Kind kind) {
  HistoryRequest request;
  if (kind == Kind::kPage && host.page == 0) request = first_;
  request.kind = kind;
  request.query = first_.query;
  request.page = host.page + 1;
  host.requested = kind == Kind::kPage;
  host.sent_ns = clock_.monotonic_ns();
  (void)connection_.publish_request(request_subject(host.name),
                                    reply_subject(host.name, first_.query), request_json(request));
}

// Marks the host as finished: no more pages are requested from it.
void HistoryReader::finish(Host& host, const std::string& missing) {
  host.over = true;
  host.requested = false;
  if (!missing.empty()) missing_[missing].push_back(host.name);
  refill(index_[host.name]);
}

void HistoryReader::receive(const Message& message) {
  const auto found = index_.find(host_of_reply(message.subject));
  if (found == index_.end()) return;
  Host& host = hosts_[found->second];
  if (!host.requested) return;  // a repeated answer
  if (message.no_responders) {
    if (host.silent && host.page == 0) finish(host, "no answer: no forwarder runs there");
    return;
  }
  auto page = parse_page(message.data);
  if (!page) return finish(host, page.error().message());
  if (page->page == host.page + 1) receive_page(host, *std::move(page));
}

void HistoryReader::receive_page(Host& host, HistoryPage page) {
  host.busy = page.state == State::kBusy;
  switch (page.state) {
    case State::kBusy:
      return;
    case State::kUnknown:
    case State::kRefused:
    case State::kUnreadable:
      return finish(host, printable(page.text));
    case State::kMore:
    case State::kEnd:
      break;
  }
  if (host.page == 0 && page.limited)
    limits_[fmt::format("only {}: the host is not willing to send other events",
                        printable(page.events))]
        .push_back(host.name);
  if (host.page == 0 && page.own_user)
    limits_["only processes of the forwarder's user, who is not in group knell"].push_back(
        host.name);
  ++host.page;
  host.requested = false;
  host.deadline_ns = clock_.monotonic_ns() + patience_ns_;
  if (!page.lines.empty()) host.pages.push_back(std::move(page.lines));
  if (page.state == State::kEnd) return finish(host, "");
  refill(index_[host.name]);
}

// The next event of the host. nullopt: no further event has been received, or the event is invalid.
std::optional<HistoryReader::HostEvent> HistoryReader::parse(Host& host) {
  while (!host.pages.empty()) {
    const std::string& page = host.pages.front();
    const size_t end = std::min(page.find('\n', host.at), page.size());
    std::string line = page.substr(host.at, end - host.at);
    host.at = end + 1;
    if (host.at >= page.size()) {
      host.pages.pop_front();
      host.at = 0;
    }
    const auto value = parse_json_object(line);
    // An event of a type that this version does not know is skipped.
    auto event =
        value && (*value)["host"].text() == host.name ? JsonEvent::parse(*value) : std::nullopt;
    if (event) return HostEvent{host.name, std::move(line), *std::move(event)};
  }
  return std::nullopt;
}

// Puts the next event of the host into heads_, and requests the next page.
void HistoryReader::refill(size_t index) {
  Host& host = hosts_[index];
  if (!host.head_known) {
    if (auto event = parse(host)) {
      const int64_t time = event->event.get().time_ns;
      heads_.push_back({time, index, *std::move(event)});
      std::ranges::push_heap(heads_, std::greater<>());
      host.head_known = true;
    } else {
      host.head_known = host.over;
    }
    if (host.head_known) --unknown_;
  }
  if (!host.over && !host.requested && host.pages.size() < kPagesAhead) {
    host.deadline_ns = clock_.monotonic_ns() + patience_ns_;
    request(host, Kind::kPage);
  }
}

std::optional<HistoryReader::HostEvent> HistoryReader::next() {
  if (unknown_ != 0 || heads_.empty()) return std::nullopt;
  std::ranges::pop_heap(heads_, std::greater<>());
  Head head = std::move(heads_.back());
  heads_.pop_back();
  hosts_[head.host].head_known = false;
  ++unknown_;
  refill(head.host);
  return std::move(head.event);
}

void HistoryReader::step() {
  connection_.clear_wake();
  for (const Message& message : connection_.messages()) receive(message);
  const uint64_t now = clock_.monotonic_ns();
  for (Host& host : hosts_) {
    if (host.over) continue;
    if (host.requested && now >= host.deadline_ns)
      finish(host, host.busy
                       ? std::string("the host is busy with other queries: try again later")
                       : fmt::format("no {}answer within {}", host.page == 0 ? "" : "further ",
                                     duration_text(std::chrono::nanoseconds(patience_ns_))));
    else if (host.requested && now >= host.sent_ns + kAgain)
      request(host, Kind::kPage);
    else if (!host.requested && now >= host.sent_ns + kAlive)
      request(host, Kind::kAlive);
  }
}

milliseconds HistoryReader::timeout() const {
  uint64_t due = UINT64_MAX;
  for (const Host& host : hosts_) {
    if (host.over) continue;
    due = std::min(due, host.sent_ns + (host.requested ? kAgain : kAlive));
    if (host.requested) due = std::min(due, host.deadline_ns);
  }
  const uint64_t now = clock_.monotonic_ns();
  if (due <= now) return milliseconds(0);
  return milliseconds(std::min<uint64_t>((due - now) / 1'000'000 + 1, 60'000));
}

void HistoryReader::end() {
  for (Host& host : hosts_) request(host, Kind::kEnd);
}

}  // namespace knell::fleet
