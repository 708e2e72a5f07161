// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-fleet watch`: requests events from hosts, and shows them.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <knell/knell.hpp>
#include <map>

#include "base/clock.h"
#include "base/duration.h"
#include "base/numbers.h"
#include "fleet/command.h"
#include "fleet/event_filter.h"
#include "fleet/event_reader.h"
#include "fleet/event_table.h"
#include "fleet/hosts.h"
#include "fleet/interest_store.h"
#include "fleet/json_event.h"
#include "fleet/random_name.h"
#include "fleet/repeats.h"
#include "fleet/selection.h"
#include "fleet/stop_signal.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kLease(60'000), kRenewal(20'000), kRenewalRetry(2'000);
constexpr milliseconds kPoll(200);        // how late Ctrl-C may be noticed
constexpr milliseconds kHostCheck(5000);  // how late a silent host may be noticed
// Some milliseconds of work; with kPoll enough for the presences of 100,000 hosts.
constexpr int kPresencesATurn = 1024;
constexpr milliseconds kRefusalInterval(60'000);  // of messages about refusals, which may differ
constexpr size_t kRepeats = 200'000;              // keys; about 30 MB

// Whether a repeated request would fail again.
bool is_final(const Error& error) {
  return error.code == ENOENT || error.code == EACCES || error.code == E2BIG ||
         error.code == EBADMSG;
}

int64_t now_ms() { return system_clock().realtime_ns() / 1'000'000; }

class Watch final : public Command {
 public:
  std::string_view name() const override { return "watch"; }
  std::string_view summary() const override {
    return "requests events from hosts, and shows them as they arrive";
  }
  std::string_view notes() const override {
    return "Hosts start to send within a second, and stop when no reader requests the events. "
           "Each\n"
           "event is shown once. Hosts that are silent or report a problem are named on standard "
           "error.\n"
           "\n"
           "Exit status: 0 done; 1 failed; 2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell fleet watch -e nonzero-exit -H 'db*'\n"
           "  knell fleet watch -e exit --ended oom,core -o json | jq .host\n";
  }
  void add_options(CommandLine& line) override;
  Result<void> check() override;
  Result<int> execute() override;

 private:
  Result<void> ask();
  void withdraw();
  bool open_hosts();
  bool read_presences();
  void check_hosts();
  void report_refusal();
  // Returns false if standard output is closed, or this process has to stop.
  bool show(const Message& message);
  bool write_out();

  ServerOptions server_;
  Selection selection_;
  std::string output_, count_, duration_;
  Selector selector_;
  bool json_ = false;
  int64_t most_ = INT64_MAX, shown_ = 0;
  std::optional<nanoseconds> limit_;

  std::unique_ptr<Connection> connection_;
  std::unique_ptr<EventFilter> filter_;
  std::optional<HostsReader> hosts_;
  Repeats repeats_{kRepeats};
  std::map<std::string, std::string> trouble_;  // host -> the last message about it
  std::optional<uint64_t> refusal_ns_;          // when the last refusal was reported
  std::string out_;
  int write_error_ = 0;
};

void Watch::add_options(CommandLine& line) {
  server_.add(line);
  selection_.add_options(line, "exec,exit");
  line.add_value("-o,--output", output_, "FORMAT", "table (default) or json");
  line.add_value("-n,--count", count_, "COUNT", "end after this many events");
  line.add_value("-d,--duration", duration_, "TIME", "end after this time");
}

Result<void> Watch::check() {
  KNELL_TRY(server_.check());
  KNELL_ASSIGN(selector_, selection_.selector());
  KNELL_ASSIGN(json_, is_json(output_));
  if (!count_.empty()) {
    const auto count = parse_number(count_, 1, INT64_MAX);
    if (!count) return say(EINVAL, "-n takes a number of at least 1");
    most_ = *count;
  }
  if (!duration_.empty()) {
    KNELL_ASSIGN(limit_, parse_duration(duration_));
  }
  selector_.owner = "watch-" + random_name();
  KNELL_ASSIGN(filter_, EventFilter::create(selector_.events, selector_.predicates));
  return {};
}

Result<void> Watch::ask() {
  KNELL_TRY(change_interest(*connection_, [&](FleetInterest& interest) {
    selector_.expires_ms = now_ms() + kLease.count();
    return put_selector(interest, selector_, now_ms());
  }));
  return {};
}

void Watch::withdraw() {
  // If this fails, the lease ends by itself.
  (void)change_interest(*connection_, [&](FleetInterest& interest) -> Result<void> {
    remove_selector(interest, selector_.owner, now_ms());
    return {};
  });
  (void)connection_->flush(milliseconds(1000));
}

bool Watch::open_hosts() {
  if (auto opened = HostsReader::create(*connection_)) hosts_ = *std::move(opened);
  return hosts_.has_value();
}

// Reads the presences that have arrived, without waiting, and so few at a time that events are
// shown meanwhile. Returns whether all were read.
bool Watch::read_presences() {
  if (!hosts_ || !connection_->connected()) return false;
  for (int i = 0; i < kPresencesATurn; ++i)
    if (!hosts_->next(milliseconds(0))) return hosts_->at_end();
  return false;
}

void Watch::check_hosts() {
  for (const auto& [name, host] : hosts_->hosts()) {
    if (!host_matches(selector_.hosts, name)) continue;
    const bool silent = host.is_silent();
    std::string said = silent ? "silent" : printable(host.presence.state);
    if (const std::string why = refusal_of(host.presence, selector_.owner); !silent && !why.empty())
      said = "sends no events for this request: " + printable(why);
    std::string& before = trouble_.try_emplace(name, "ok").first->second;
    if (said == before) continue;
    message(fmt::format("{}: {}", name,
                        silent         ? "silent for " + duration_text(host.age())
                        : said == "ok" ? "working again"
                                       : said));
    before = said;
  }
}

// A refusal may have no other effect than missing events.
void Watch::report_refusal() {
  const std::string refused = connection_->refusal();
  const uint64_t now = system_clock().monotonic_ns();
  if (refused.empty() ||
      (refusal_ns_ &&
       now - *refusal_ns_ < static_cast<uint64_t>(nanoseconds(kRefusalInterval).count())))
    return;
  refusal_ns_ = now;
  message(
      fmt::format("the server refuses, so events may be missing: {} (docs/fleet.md has the "
                  "permissions of a reader)",
                  refused));
}

bool Watch::write_out() {
  std::string_view rest = out_;
  while (!rest.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (n < 0 && errno == EINTR && !StopSignal::stopped()) continue;
    if (n < 0) {
      if (errno != EPIPE && errno != EINTR) write_error_ = errno;
      return false;
    }
    rest.remove_prefix(static_cast<size_t>(n));
  }
  out_.clear();
  return true;
}

bool Watch::show(const Message& message) {
  std::string_view lines = message.data;
  while (!lines.empty() && shown_ < most_) {
    const std::string line(lines.substr(0, lines.find('\n')));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    const auto value = parse_json_object(line);
    if (!value) continue;
    const std::string host = (*value)["host"].text();
    // A host can publish only under its own name; the name in the message is not trusted.
    if (host.empty() || host != host_of_event(message.subject) ||
        !host_matches(selector_.hosts, host))
      continue;
    const auto event = JsonEvent::parse(*value);
    if (!event || !filter_->passes(event->get())) continue;
    if (!repeats_.is_new(event_key(*value))) continue;
    out_ += json_ ? line + '\n' : table_line(host, event->get());
    ++shown_;
  }
  return write_out();
}

Result<int> Watch::execute() {
  StopSignal stop;
  ConnectOptions to = server_.get();
  to.name = "knell-fleet watch";
  KNELL_ASSIGN(connection_, Connection::create(to));
  stop.unblock();
  // Open the reader before the request, so that the first events are not missed.
  KNELL_ASSIGN(const auto reader,
               EventReader::create(*connection_, selector_.hosts, StreamReader::From::kNow));
  const auto asked_first = ask();
  // A server that is busy, or has just been started, may accept a later request.
  if (!asked_first && is_final(asked_first.error())) return std::unexpected(asked_first.error());
  if (!asked_first) message(asked_first.error().message());
  if (!json_) out_ = table_header();
  bool going = write_out();
  const uint64_t started = system_clock().monotonic_ns();
  const auto after = [](uint64_t from, nanoseconds time) {
    return system_clock().monotonic_ns() - from >= static_cast<uint64_t>(time.count());
  };
  uint64_t asked = started, checked = 0, connects = connection_->connects();
  nanoseconds renewal = asked_first ? kRenewal : kRenewalRetry;
  while (going && shown_ < most_ && !StopSignal::stopped() &&
         !(limit_ && after(started, *limit_))) {
    if (const std::string why = connection_->closed(); !why.empty())
      return say(ECONNRESET, "the connection to the server was closed: " + why);
    // Renew immediately after a reconnect: hosts wait for a limited time (lease_grace) for readers
    // to return.
    if (connection_->connected() &&
        (after(asked, renewal) || connection_->connects() != connects)) {
      asked = system_clock().monotonic_ns();
      // The presences of the time after a reconnect are still to come.
      if (connection_->connects() != connects) checked = asked;
      connects = connection_->connects();
      const auto again = ask();
      if (!again) message(again.error().message());
      renewal = again ? kRenewal : kRenewalRetry;
      if (!again) continue;
      if (const auto added = reader->add_new_shards(); !added) message(added.error().message());
    }
    report_refusal();
    const bool has_presences = read_presences();
    if (after(checked, kHostCheck)) {
      if (hosts_ ? has_presences : !open_hosts()) checked = system_clock().monotonic_ns();
      if (has_presences) check_hosts();
    }
    if (const auto next = reader->next(kPoll)) going = show(*next);
  }
  withdraw();
  if (write_error_ != 0) return make_error(write_error_, "write the output");
  return kDone;
}

}  // namespace

std::unique_ptr<Command> make_watch() { return std::make_unique<Watch>(); }

}  // namespace knell::fleet
