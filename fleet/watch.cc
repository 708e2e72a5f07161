// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-fleet watch`: asks hosts for events, and shows them.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/random.h>
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
#include "fleet/event_table.h"
#include "fleet/hosts.h"
#include "fleet/interest_store.h"
#include "fleet/json_event.h"
#include "fleet/repeats.h"
#include "fleet/stop_signal.h"
#include "fleet/stream_reader.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kLease(60'000), kRenewal(20'000), kRenewalRetry(2'000);
constexpr milliseconds kPoll(200);        // how late Ctrl-C may be seen
constexpr milliseconds kHostCheck(5000);  // how late a silent host may be seen
constexpr size_t kRepeats = 200'000;      // keys; about 30 MB

struct Flag {
  const char* names;
  const char* key;
  const char* type;
  const char* help;
};
constexpr Flag kFlags[] = {
    {"-C,--comm", "comm", "GLOB", "the name of the process (comm, 15 bytes)"},
    {"--exe", "exe", "GLOB", "the path of its program"},
    {"--uid", "uid", "UID", "its real user id"},
    {"-u,--unit", "unit", "GLOB", "its systemd unit, with or without .service"},
    {"--cgroup", "cgroup", "PATH", "its cgroup, and those below"},
    {"--container", "container", "ID", "its container's id, or the beginning of that id"},
    {"--tty", "tty", "GLOB", "its controlling terminal: pts/3, ttyS*"},
    {"--ended", "ended", "WHAT", "how it ended: 2-255, 0, SIGKILL, signal, core, oom, unknown"},
    {"--longer", "longer", "TIME", "it ran longer than this"},
    {"--shorter", "shorter", "TIME", "it ran shorter than this"},
};
constexpr size_t kFlagCount = std::size(kFlags);

std::string random_owner() {
  uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, GRND_NONBLOCK) < 0) bits = system_clock().boottime_ns();
  return fmt::format("watch-{:016x}", bits);
}

int64_t now_ms() { return system_clock().realtime_ns() / 1'000'000; }

class Watch final : public Command {
 public:
  std::string_view name() const override { return "watch"; }
  std::string_view summary() const override {
    return "asks hosts for events, and shows them as they come";
  }
  std::string_view notes() const override {
    return "The hosts send what is asked for within a second, and stop when no reader asks. Each\n"
           "event is shown once. Hosts that are silent or have trouble are named on standard "
           "error.\n"
           "\n"
           "Exit status: 0 done; 1 failed; 2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell-fleet watch -e nonzero-exit -H 'db*'\n"
           "  knell-fleet watch -e exit --ended oom,core -o json | jq .host\n";
  }
  void add_options(CommandLine& line) override;
  Result<void> check() override;
  Result<int> execute() override;

 private:
  Result<void> ask();
  void withdraw();
  void check_hosts();
  // False: standard output is closed, or this process is to end.
  bool show(const Message& message);
  bool write_out();

  ServerOptions server_;
  std::string events_, hosts_ = "*", output_, count_, duration_;
  std::array<std::vector<std::string>, kFlagCount> values_;
  Selector selector_;
  bool json_ = false;
  int64_t most_ = INT64_MAX, shown_ = 0;
  std::optional<nanoseconds> limit_;

  std::unique_ptr<Connection> connection_;
  std::unique_ptr<EventFilter> filter_;
  Repeats repeats_{kRepeats};
  std::map<std::string, std::string> trouble_;  // host -> what was said about it
  std::string out_;
  int write_error_ = 0;
};

void Watch::add_options(CommandLine& line) {
  server_.add(line);
  line.add_value("-e,--events", events_, "EVENTS", "events, as in knell watch; default exec,exit");
  line.add_value("-H,--host", hosts_, "GLOB", "these hosts only; default all");
  line.add_value("-o,--output", output_, "FORMAT", "table or json; default table");
  line.add_value("-n,--count", count_, "COUNT", "end after this many events");
  line.add_value("-d,--duration", duration_, "TIME", "end after this time");
  for (size_t i = 0; i < kFlagCount; ++i)
    line.add_values(kFlags[i].names, values_[i], kFlags[i].type, kFlags[i].help,
                    "Predicates (commas and repeats: any value must match; !VALUE: must not match; "
                    "different flags: all must match)");
}

Result<void> Watch::check() {
  KNELL_TRY(server_.check());
  std::error_code error;
  selector_.events = events_parse(events_.empty() ? "exec,exit" : events_, error);
  if (error) return say(EINVAL, fmt::format("-e: {}", explain()));
  if (hosts_.size() > kMostHostBytes)
    return say(EINVAL, fmt::format("-H takes up to {} bytes", kMostHostBytes));
  selector_.hosts = hosts_;
  for (size_t i = 0; i < kFlagCount; ++i)
    for (const std::string& value : values_[i]) {
      if (const auto checked = check_predicate(kFlags[i].key, value); !checked)
        return say(EINVAL, checked.error().message());
      selector_.predicates[kFlags[i].key].push_back(value);
    }
  if (!output_.empty() && output_ != "table" && output_ != "json")
    return say(EINVAL, fmt::format("-o takes table or json, not '{}'", printable(output_)));
  json_ = output_ == "json";
  if (!count_.empty()) {
    const auto count = parse_number(count_, 1, INT64_MAX);
    if (!count) return say(EINVAL, "-n takes a number of at least 1");
    most_ = *count;
  }
  if (!duration_.empty()) {
    KNELL_ASSIGN(limit_, parse_duration(duration_));
  }
  selector_.owner = random_owner();
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
  // On failure the lease ends by itself.
  (void)change_interest(*connection_, [&](FleetInterest& interest) -> Result<void> {
    remove_selector(interest, selector_.owner, now_ms());
    return {};
  });
  (void)connection_->flush(milliseconds(1000));
}

void Watch::check_hosts() {
  const auto hosts = read_hosts(*connection_);
  if (!hosts) return;
  for (const auto& [name, host] : *hosts) {
    if (!host_matches(hosts_, name)) continue;
    const auto age = nanoseconds(std::max<int64_t>(system_clock().realtime_ns() - host.seen_ns, 0));
    const bool silent = is_silent(host.presence, std::chrono::duration_cast<milliseconds>(age));
    const std::string said = silent ? "silent" : printable(host.presence.state);
    std::string& before = trouble_.try_emplace(name, "ok").first->second;
    if (said == before) continue;
    message(fmt::format("{}: {}", name,
                        silent         ? "silent for " + duration_text(age)
                        : said == "ok" ? "all is well again"
                                       : said));
    before = said;
  }
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
    // A host can publish only under its own name; what it says in the message is not trusted.
    if (!message.subject.starts_with(fmt::format("knell.ev.{}.", host)) ||
        !host_matches(hosts_, host))
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
  // Before the hosts are asked, so that the first events are not missed.
  KNELL_ASSIGN(const auto reader,
               StreamReader::create(*connection_, kEventStream, subjects_of_hosts(hosts_),
                                    StreamReader::From::kNow));
  KNELL_TRY(ask());
  if (!json_) out_ = table_header();
  bool going = write_out();
  const uint64_t started = system_clock().monotonic_ns();
  const auto after = [](uint64_t from, nanoseconds time) {
    return system_clock().monotonic_ns() - from >= static_cast<uint64_t>(time.count());
  };
  uint64_t asked = started, checked = 0, connects = connection_->connects();
  nanoseconds renewal = kRenewal;
  while (going && shown_ < most_ && !StopSignal::stopped() &&
         !(limit_ && after(started, *limit_))) {
    // After a reconnect at once: the hosts wait only so long for readers to return.
    if (connection_->connected() &&
        (after(asked, renewal) || connection_->connects() != connects)) {
      asked = system_clock().monotonic_ns();
      connects = connection_->connects();
      const auto again = ask();
      if (!again) message(again.error().message());
      renewal = again ? kRenewal : kRenewalRetry;
    }
    if (after(checked, kHostCheck)) {
      checked = system_clock().monotonic_ns();
      check_hosts();
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
