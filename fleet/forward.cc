// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-fleet forward`: sends the events of this host.
#include <fmt/format.h>
#include <poll.h>
#include <sys/utsname.h>

#include <array>
#include <knell/knell.hpp>

#include "base/clock.h"
#include "base/duration.h"
#include "base/numbers.h"
#include "fleet/command.h"
#include "fleet/durable_stream.h"
#include "fleet/forwarder.h"
#include "fleet/history_service.h"
#include "fleet/stop_signal.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

constexpr std::chrono::milliseconds kFinish(3000);

class Forward final : public Command {
 public:
  std::string_view name() const override { return "forward"; }
  std::string_view summary() const override {
    return "sends the events of this host that readers request; runs until it is stopped";
  }
  std::string_view notes() const override {
    return "Needs knelld with a journal, which stores the events that the server does not have "
           "yet.\n"
           "Without a reader it reads no events and sends only its presence. Stopped by SIGTERM or "
           "SIGINT.\n"
           "\n"
           "Exit status: 0 stopped; 1 failed; 2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell fleet forward\n"
           "  knell fleet forward --host db1 --allow nonzero-exit,coredump --details names\n";
  }
  void add_options(CommandLine& line) override {
    server_.add(line);
    line.add_value("--host", host_, "NAME",
                   "the name of this host in the fleet; default: its node name, with _ for dots");
    line.add_value("--allow", allow_, "EVENTS",
                   "events, as in knell watch, that this host is willing to send; default all");
    line.add_value("--details", details_, "LEVEL",
                   "status, names or full (default): the details that it is willing to send");
    line.add_flag("--no-history", no_history_, "answer no queries of past events");
    line.add_value("--hold", hold_, "TIME",
                   "how long to keep acknowledged events, until the server has written them to its "
                   "disk; default 5m, 0 for a server with sync_interval: always");
    line.add_value("--rate", rate_, "N", "events a second at most, after an outage; default 2000");
    line.add_value("--buffer", buffer_, "BYTES",
                   "memory for events that are not yet on the server's disk; default 16777216");
  }
  Result<void> check() override;
  Result<int> execute() override;

 private:
  ServerOptions server_;
  std::string host_, allow_, details_, hold_, rate_, buffer_;
  bool no_history_ = false;
  ForwarderOptions options_;
  Options listener_;
};

Result<void> Forward::check() {
  KNELL_TRY(server_.check());
  utsname names{};
  if (host_.empty() && ::uname(&names) == 0) host_ = host_of_machine(names.nodename);
  KNELL_ASSIGN(options_.host, parse_host(host_));
  options_.allowed = KNELL_EVENT_ALL;
  std::error_code error;
  if (!allow_.empty()) options_.allowed = events_parse(allow_, error);
  if (error) return say(EINVAL, fmt::format("--allow: {}", explain()));
  listener_.via = KNELL_VIA_DAEMON;
  listener_.set_latency(std::chrono::milliseconds(10));
  if (details_ == "status")
    listener_.details = KNELL_DETAILS_STATUS;
  else if (details_ == "names")
    listener_.details = KNELL_DETAILS_NAMES;
  else if (!details_.empty() && details_ != "full")
    return say(EINVAL,
               fmt::format("--details takes status, names or full, not '{}'", printable(details_)));
  options_.details = listener_.details;
  if (!hold_.empty()) {
    KNELL_ASSIGN(options_.outbox.hold, parse_duration(hold_));
  }
  if (!rate_.empty()) {
    const auto rate = parse_number(rate_, 1, 10'000'000);
    if (!rate) return say(EINVAL, "--rate takes a number from 1 to 10000000");
    options_.events_per_second = static_cast<uint32_t>(*rate);
  }
  if (!buffer_.empty()) {
    const auto bytes = parse_number(buffer_, 1 << 20, int64_t{1} << 40);
    if (!bytes) return say(EINVAL, "--buffer takes a number of at least 1048576");
    options_.outbox.bytes = static_cast<size_t>(*bytes);
  }
  return {};
}

Result<int> Forward::execute() {
  StopSignal stop;
  // knelld sends at most kMostUnacked unacknowledged events. The outbox releases batches early at
  // half of that, so that knelld continues to send.
  options_.outbox.events = DurableStream::kMostUnacked / 2;
  KNELL_ASSIGN(const auto stream,
               DurableStream::create(listener_, ("fleet-" + options_.host).substr(0, 64)));
  ConnectOptions to = server_.get();
  to.name = "knell-fleet forward " + options_.host;
  to.inbox = "_INBOX_" + options_.host;  // so that no host may read the replies to another host
  to.retry = true;
  KNELL_ASSIGN(const auto connection, Connection::create(to));
  KNELL_ASSIGN(
      const auto history,
      HistoryService::create({options_.host, no_history_ ? 0 : options_.allowed, listener_.details},
                             {}, [](const HistoryOptions& options, std::error_code& error) {
                               return Listener::open_history("", options, error);
                             }));
  options_.history = history.get();
  Forwarder forwarder(options_, *stream, *connection, system_clock(),
                      [](const std::string& text) { message(text); });
  KNELL_TRY(forwarder.start());
  stop.unblock();
  if (!connection->connected()) message(fmt::format("no server yet at {}", to.servers));
  while (!StopSignal::stopped()) {
    // systemd starts another forwarder, which receives the unacknowledged events from the journal.
    if (const std::string why = connection->closed(); !why.empty())
      return say(ECONNRESET, "the connection to the server was closed: " + why);
    forwarder.step();
    std::array<pollfd, 4> ready{pollfd{stop.fd(), POLLIN, 0},
                                pollfd{connection->wake_fd(), POLLIN, 0},
                                pollfd{history->fd(), POLLIN, 0}, pollfd{stream->fd(), POLLIN, 0}};
    (void)::poll(ready.data(), forwarder.reads_events() ? 4 : 3,
                 static_cast<int>(std::min<int64_t>(forwarder.timeout().count(), 60'000)));
  }
  forwarder.finish(kFinish);
  return kDone;
}

}  // namespace

std::unique_ptr<Command> make_forward() { return std::make_unique<Forward>(); }

}  // namespace knell::fleet
