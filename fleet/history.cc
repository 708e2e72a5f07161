// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-fleet history`: shows past events of hosts; each host reads its own journal.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <knell/knell.hpp>
#include <map>
#include <tuple>

#include "base/clock.h"
#include "base/duration.h"
#include "base/numbers.h"
#include "base/time_point.h"
#include "fleet/command.h"
#include "fleet/event_table.h"
#include "fleet/history_reader.h"
#include "fleet/hosts.h"
#include "fleet/selection.h"
#include "fleet/stop_signal.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMostOutput = size_t{64} << 10;  // limit of output that waits to be written
constexpr size_t kMostNamed = 8;                  // hosts listed in one line

class History final : public Command {
 public:
  std::string_view name() const override { return "history"; }
  std::string_view summary() const override {
    return "shows past events of hosts, from the journal of each host";
  }
  std::string_view notes() const override {
    return "TIME: 1h or '1h ago', yesterday, today, 06:00, '2026-11-23 06:00', @1790000000.\n"
           "Events are sorted by time; the events of one host keep their order. Hosts that do not\n"
           "answer, or whose answer is incomplete, are named on standard error.\n"
           "\n"
           "Exit status: 0 done, also without events; 1 failed, or the events of a host are "
           "missing;\n"
           "2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell fleet history -S 1h -e nonzero-exit -H 'db*'\n"
           "  knell fleet history -n 10 -u postgresql -o json | jq .host\n";
  }
  void add_options(CommandLine& line) override;
  Result<void> check() override;
  Result<int> execute() override;

 private:
  Result<std::map<std::string, bool>> hosts_to_ask();
  void append(const HistoryReader::HostEvent& event);
  void wait(const HistoryReader& reader, int stop);
  bool write_some();

  ServerOptions server_;
  Selection selection_;
  std::string since_, until_, output_, count_, patience_text_;
  HistoryRequest request_;
  milliseconds patience_{5000};
  bool json_ = false;

  std::unique_ptr<Connection> connection_;
  std::string out_, day_;
  bool writable_ = false;
  int write_error_ = 0;
};

void History::add_options(CommandLine& line) {
  server_.add(line);
  line.add_value("-S,--since", since_, "TIME", "events from this time on");
  line.add_value("-U,--until", until_, "TIME", "events up to this time");
  line.add_flag("-b,--boot", request_.this_boot, "events since the host was booted");
  line.add_value("-n,--count", count_, "COUNT", "the last COUNT events of each host");
  line.add_value("-o,--output", output_, "FORMAT", "table (default) or json");
  line.add_value("--timeout", patience_text_, "TIME",
                 "how long to wait for the answer of a host; default 5s");
  selection_.add_options(line, "all");
}

Result<void> History::check() {
  KNELL_TRY(server_.check());
  KNELL_ASSIGN(json_, is_json(output_));
  KNELL_ASSIGN(request_.selector, selection_.selector());
  const int64_t now = system_clock().realtime_ns();
  for (const auto& [flag, text, to] : {std::tuple("-S", &since_, &request_.since_ns),
                                       std::tuple("-U", &until_, &request_.until_ns)}) {
    if (text->empty()) continue;
    const auto time = parse_time(*text, now);
    if (!time) return say(EINVAL, fmt::format("{}: {}", flag, time.error().message()));
    *to = std::max<int64_t>(*time, 1);
  }
  if (request_.until_ns != 0 && request_.until_ns < request_.since_ns)
    return say(EINVAL, fmt::format("-U {} is before -S {}", printable(until_), printable(since_)));
  if (!count_.empty()) {
    const auto count = parse_number(count_, 1, INT64_MAX);
    if (!count) return say(EINVAL, "-n takes a number of at least 1");
    request_.last = static_cast<uint64_t>(*count);
  }
  if (!patience_text_.empty()) {
    const auto time = parse_duration(patience_text_);
    if (!time || *time < milliseconds(1) || *time > std::chrono::hours(1))
      return say(EINVAL, "--timeout takes a time from 1ms to 1h, such as 5s");
    patience_ = std::chrono::duration_cast<milliseconds>(*time);
  }
  return {};
}

Result<std::map<std::string, bool>> History::hosts_to_ask() {
  KNELL_ASSIGN(const auto seen, read_hosts(*connection_));
  std::map<std::string, bool> hosts;
  for (const auto& [name, host] : seen)
    if (host_matches(request_.selector.hosts, name)) hosts[name] = host.is_silent();
  if (hosts.empty())
    return say(ENOENT,
               fmt::format("no host of this fleet matches '{}'; knell fleet hosts lists them",
                           printable(request_.selector.hosts)));
  if (hosts.size() > HistoryReader::kMostHosts)
    return say(E2BIG, fmt::format("{} hosts match; ask up to {}, with -H", hosts.size(),
                                  HistoryReader::kMostHosts));
  return hosts;
}

void History::append(const HistoryReader::HostEvent& event) {
  if (json_) {
    out_ += event.line + '\n';
    return;
  }
  if (std::string day = day_text(event.event.get().time_ns); day != day_) {
    day_ = std::move(day);
    out_ += day_ + '\n';
  }
  out_ += table_line(event.host, event.event.get());
}

// Waits for an answer of a host, or until standard output is writable.
void History::wait(const HistoryReader& reader, int stop) {
  std::array<pollfd, 3> ready{pollfd{stop, POLLIN, 0}, pollfd{connection_->wake_fd(), POLLIN, 0},
                              pollfd{out_.empty() ? -1 : STDOUT_FILENO, POLLOUT, 0}};
  (void)::poll(ready.data(), ready.size(), static_cast<int>(reader.timeout().count()));
  writable_ = ready[2].revents != 0;
}

// Writes at most PIPE_BUF bytes, which a pipe with POLLOUT accepts without blocking. A pager that
// pauses must not block this program, which has to send kAlive requests to the hosts.
bool History::write_some() {
  const ssize_t n = ::write(STDOUT_FILENO, out_.data(), std::min<size_t>(out_.size(), PIPE_BUF));
  if (n >= 0) {
    out_.erase(0, static_cast<size_t>(n));
    return true;
  }
  if (errno == EINTR || errno == EAGAIN) return true;
  if (errno != EPIPE) write_error_ = errno;
  return false;
}

void print_notes(const HistoryReader::Notes& notes, std::string_view front) {
  for (const auto& [what, hosts] : notes) {
    const size_t named = std::min(hosts.size(), kMostNamed);
    std::string names = fmt::format(
        "{}", fmt::join(hosts.begin(), hosts.begin() + static_cast<ptrdiff_t>(named), ", "));
    if (named < hosts.size()) names += fmt::format(" and {} more", hosts.size() - named);
    message(fmt::format("{}{}: {}", front, names, what));
  }
}

Result<int> History::execute() {
  StopSignal stop;
  ConnectOptions to = server_.get();
  to.name = "knell-fleet history";
  KNELL_ASSIGN(connection_, Connection::create(to));
  stop.unblock();
  KNELL_ASSIGN(const auto hosts, hosts_to_ask());
  HistoryReader reader(*connection_, system_clock(), hosts, request_, patience_);
  KNELL_TRY(reader.start());
  if (!json_) out_ = table_header();
  bool going = true;
  while (going && !StopSignal::stopped()) {
    reader.step();
    while (out_.size() < kMostOutput) {
      const auto event = reader.next();
      if (!event) break;
      append(*event);
    }
    if (out_.empty() && reader.is_over()) break;
    wait(reader, stop.fd());
    if (writable_) going = write_some();
  }
  const bool complete = reader.is_over();
  reader.end();
  (void)connection_->flush(milliseconds(1000));
  if (write_error_ != 0) return make_error(write_error_, "write the output");
  if (const std::string refused = connection_->refusal(); !refused.empty())
    message("the server refuses: " + refused);
  print_notes(reader.limits(), "");
  print_notes(reader.missing(), "events are missing from ");
  return complete && !reader.missing().empty() ? kFailed : kDone;
}

}  // namespace

std::unique_ptr<Command> make_history() { return std::make_unique<History>(); }

}  // namespace knell::fleet
